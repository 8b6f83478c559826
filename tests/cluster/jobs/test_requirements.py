"""What a run needs of a Python, and what of it is missing there."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from cluster.jobs import requirements as module
from cluster.jobs.requirements import missing, requirements

ROOT = Path(__file__).parents[3]


def test_they_are_the_dependencies_of_pyproject() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = requirements()
    assert len(names) == len(declared)
    assert {"torch", "ray", "scikit-learn", "plotly", "jinja2", "scipy"} <= set(names)
    assert missing(names) == []


def test_where_podium_is_installed_its_metadata_says_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "podium_hpo-0.1.dist-info"
    info.mkdir()
    needs = "Requires-Dist: ray[tune]<2.61,>=2.60\nRequires-Dist: scipy>=1\nRequires-Dist: onnx>=1; extra == 'export'\n"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: podium-hpo\nVersion: 0.1\n{needs}")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "of-somebody-else"\ndependencies = ["flask"]\n')
    monkeypatch.syspath_prepend(tmp_path)
    assert requirements(tmp_path) == ["ray", "scipy"]


def test_without_either_nothing_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PODIUM", "a-distribution-that-nobody-has")
    assert requirements(tmp_path) == []


def test_a_library_is_known_by_its_distribution() -> None:
    assert missing(["scikit-learn", "sklearn", "a-distribution-that-nobody-has"]) == [
        "sklearn",
        "a-distribution-that-nobody-has",
    ]
    with pytest.raises(metadata.PackageNotFoundError):
        metadata.version("sklearn")
