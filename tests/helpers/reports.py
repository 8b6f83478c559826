"""What workers say of trials, made up."""

from __future__ import annotations

import math
import time
from typing import Any

from hpo.trials.messages import TrialReport, TrialRequest
from hpo.trials.records import TrialState
from trainers.config import EpochResult


def request(trial_id: str, **values: Any) -> TrialRequest:
    number = values.pop("number", None)
    if number is None:
        number = int(trial_id.rpartition("-")[2])
    return TrialRequest(trial_id=trial_id, number=number, **{"params": {}, "asked_at": time.time(), **values})


def epoch(number: int, value: float, **values: Any) -> EpochResult:
    """An epoch of this validation accuracy; of a loss that is not finite where the value is not."""
    usual = {"train_loss": 0.1, "train_accuracy": 0.9, "val_loss": 0.1 if math.isfinite(value) else math.nan}
    usual |= {"val_accuracy": value, "train_s": 1.0, "eval_s": 0.1, "images": 10}
    return EpochResult(epoch=number, **{**usual, **values})


def report(state: str, *values: tuple[int, float], best: float | None = None, **more: Any) -> TrialReport:
    """A report of these new epochs and their validation accuracies."""
    finite = [v for _, v in values if math.isfinite(v)]
    value = best if best is not None else max(finite, default=None)
    curve = tuple(epoch(*pair) for pair in values)
    usual: dict[str, Any] = {"trial_id": "", "epochs": len(values), "val_accuracy": value}
    return TrialReport(state=TrialState(state), curve=curve, **{**usual, **more})
