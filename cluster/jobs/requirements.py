"""The libraries that a run needs, by the names of their distributions: they differ from the names that are imported
(scikit-learn is imported as sklearn)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from cluster import ROOT

PODIUM = "podium-hpo"


def requirements(root: Path = ROOT) -> list[str]:
    """What Podium depends on, without its optional parts: as pyproject.toml beside its packages says, or where there is
    none the metadata of the installed package. Empty where neither is there."""
    return [_name(one) for one in _declared(root / "pyproject.toml") if "extra ==" not in one]


def missing(distributions: Iterable[str]) -> list[str]:
    """Those of the distributions that this Python does not have."""
    return [name for name in distributions if not _is_installed(name)]


def _declared(pyproject: Path) -> list[str]:
    if pyproject.is_file():
        project = tomllib.loads(pyproject.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == PODIUM:  # beside an installed package there may be one of somebody else
            return list(project["dependencies"])
    try:
        return metadata.requires(PODIUM) or []
    except metadata.PackageNotFoundError:
        return []


def _name(requirement: str) -> str:
    """ "ray" of "ray[tune]>=2.60,<2.61"."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return found[0]


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
