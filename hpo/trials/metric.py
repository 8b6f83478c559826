"""The metric of a study: its name in tables, and its value behind a score. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainers.config import LOWER_IS_BETTER, METRICS

ACCURACY = "accuracy"


def label(metric: str) -> str:
    """The name in tables and columns: of the user's own metric MODULE:NAME or FILE.py:NAME it is NAME."""
    return metric if metric in METRICS else metric.rpartition(":")[2]


def words(metric: str) -> str:
    """ "balanced accuracy": the name in a sentence."""
    return label(metric).replace("_", " ")


def value_of(metric: str, score: float | None) -> float | None:
    """The metric's value behind a score, of which more is always better."""
    return -score if score is not None and metric in LOWER_IS_BETTER else score


def score_of(epoch: Mapping[str, Any]) -> float | None:
    """The score in an entry of a learning curve: of an entry without one it is the accuracy."""
    score: float | None = epoch.get("val_score")
    return epoch.get("val_accuracy") if score is None else score
