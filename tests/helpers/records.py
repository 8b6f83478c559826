"""Trial records, made up."""

from __future__ import annotations

from typing import Any

from hpo.trials.ranking import rank
from hpo.trials.records import TrialRecord, TrialState


def record(number: int = 0, **values: Any) -> TrialRecord:
    base: dict[str, Any] = {
        "trial_id": f"cnn-{number:04d}",
        "model": "cnn",
        "state": TrialState.COMPLETED,
        "config": {},
        "seed": 0,
        "parameters": 10,
        "dataset": "digits",
        "precision": "float32",
    }
    return TrialRecord(**{**base, **values})


def ids(records: list[TrialRecord]) -> list[str]:
    return [item.record.trial_id for item in rank(records)]
