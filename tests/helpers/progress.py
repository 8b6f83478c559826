"""Trials as the progress display hears of them."""

from __future__ import annotations

from typing import Any

from hpo.trials.records import TrialRecord, TrialState


def finished_trial(number: int, state: TrialState = TrialState.COMPLETED, **values: Any) -> TrialRecord:
    fields: dict[str, Any] = {"val_accuracy": 0.9 + number / 100, "epochs": 3, "wall_time_s": 1.25, **values}
    return TrialRecord(
        trial_id=f"cnn-{number:04d}",
        model="cnn",
        state=state,
        config={},
        seed=0,
        parameters=1,
        dataset="digits",
        precision="float32",
        **fields,
    )
