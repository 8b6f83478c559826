"""Where a run or a training came from, as every page says it: its images, machine and versions. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hpo.views.formats import number


def images(data: Mapping[str, Any]) -> str:
    """ "digits: 1,150 training, 288 validation and 359 test images". data: as study.json and train.json have it."""
    train, validation, test = (number(data["sizes"][split]) for split in ("train", "validation", "test"))
    return f"{data['name']}: {train} training, {validation} validation and {test} test images"


def made_with(stored: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and text of what it was made with and of. stored: the content of study.json or train.json."""
    yield "machine", ", ".join(str(value) for value in stored.get("machine", {}).values())
    yield "versions", ", ".join(f"{name} {version}" for name, version in stored.get("versions", {}).items())
    yield "commit", str(stored.get("commit") or "unknown")
    for part, sha in stored["data"]["hashes"].items():
        yield f"SHA-256 of the {part} split", sha
