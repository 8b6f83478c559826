"""Reads study.json: either whole, or with a one-line error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainers.data.dataset import Dataset

# What --resume, hpo compare and the report need. Other entries can be made again.
_NEEDED: dict[str, dict[str, type]] = {
    "data": {"name": str, "hashes": dict, "sizes": dict, "notice": str},
    "models": {},
}
WAY_ON = "restore the file, or start a new run; the trials are in trials.csv"


class RunState(StrEnum):
    """How a run stands, or how its last session ended: the "state" of study.json."""

    RUNNING = "running"
    COMPLETE = "complete"
    """All trials and finals are done."""
    OUT_OF_TIME = "out of time"
    """The time budget ended first."""
    INTERRUPTED = "interrupted"
    """Ctrl-C or SIGTERM ended it."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The study.json of an older version says nothing of it."""


def read_study(path: Path) -> dict[str, Any]:
    """Reads the study.json at `path`; its "sessions" is always a list.

    Raises FileNotFoundError, and ValueError when the file cannot be read or has no settings.
    """
    try:
        study = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not isinstance(study, dict) or not isinstance(study.get("spec"), dict):
        raise ValueError("it contains no settings")
    sessions = study.get("sessions")
    kept = [each for each in sessions if isinstance(each, dict)] if isinstance(sessions, list) else []
    return {**study, "sessions": kept}


def check_whole(study: Mapping[str, Any]) -> None:
    """Raises ValueError unless the study names its images and architectures. Other entries are optional, or can be made
    again."""
    for key, inner in _NEEDED.items():
        part = study.get(key)
        if not isinstance(part, dict):
            raise ValueError(f"it has no {key}")
        for name, kind in inner.items():
            if not isinstance(part.get(name), kind):
                raise ValueError(f"its {key} have no {name}")
    if not all(isinstance(model, dict) for model in study["models"].values()):
        raise ValueError("its models are no tables")


def describe_data(data: Dataset) -> dict[str, Any]:
    """Describes a data set, with the hashes of its splits."""
    return {
        "name": data.name,
        "notice": data.notice,
        "classes": list(data.classes),
        "input_shape": list(data.input_shape),
        "mean": list(data.mean),
        "std": list(data.std),
        "sizes": {
            "train": len(data.training.train),
            "validation": len(data.training.validation),
            "test": len(data.test),
        },
        "class_counts": {
            name: split.labels.bincount(minlength=len(data.classes)).tolist()
            for name, split in (("train", data.training.train), ("validation", data.training.validation))
        },
        "hashes": data.hashes,
        **({"skipped": list(data.skipped)} if data.skipped else {}),
    }
