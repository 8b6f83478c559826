"""What one trial has come to on its worker: its epochs, its checkpoints, its report."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from typing import Any

from hpo.store.checkpoints import Checkpoints
from trainers.config import EpochResult, FitResult


class RunningTrial:
    """One trial of an array: what it has come to, and its report.

    lane: what the searcher handed out. began: when its array did. state: of its checkpoint, where there is one, left by
    a worker or driver that died.
    """

    def __init__(self, settings: dict[str, Any], lane: dict[str, Any], began: float, state: Any, warning: str) -> None:
        self.settings, self.lane, self.began, self.warning = settings, lane, began, warning
        self.queue_s = max(0.0, time.time() - lane["asked_at"])
        self.checkpoints = Checkpoints(settings["checkpoints"], check)
        self.fitted, self.unreported = FitResult(), 0
        self.setup_s, self.share_s, self.parameters, self.lanes = 0.0, 0.0, 0, 1
        self.earlier_s = state["elapsed_s"] if state else 0.0
        self.before: dict[str, float] = {}
        self.last: dict[str, Any] | None = None  # its report once it is over
        if state:
            self._take_up(state)

    def report(self, state: str, error: str = "") -> dict[str, Any]:
        """The measured columns so far, and the epochs not reported yet (all of them after a resume)."""
        curve, measured = self.fitted.curve, self.fitted.measured()
        new, self.unreported = curve[self.unreported :], len(curve)
        report = {
            **measured,
            "trial_id": self.lane["trial_id"],
            "state": state,
            "error": error,
            "warning": self.warning,
            "value": measured["val_accuracy"],
            "values": [(r.epoch, r.val_accuracy) for r in new if math.isfinite(r.val_loss)],
            "wall_time_s": self.elapsed_s,
            "before": self.before,
            "queue_s": self.queue_s,
            "setup_s": self.setup_s,
            "share_s": self.share_s,
            "device": self.settings["train"]["device"],
            "node": self.settings["node"],
            "workers": self.settings["workers"],
            "lanes": self.lanes,
            "curve": [_finite(asdict(result)) for result in new],
        }
        # A trial that failed before it had a network has the parameters that were planned.
        return {**report, **({"parameters": self.parameters} if self.parameters else {})}

    def save(self, trainer: dict[str, Any]) -> None:
        """Writes a checkpoint, with what the trainer needs to go on."""
        state = {
            "trainer": trainer,
            "fused": self.settings["lanes"] > 1,
            "curve": [asdict(result) for result in self.fitted.curve],
            "best_epoch": self.fitted.best.epoch if self.fitted.best else None,
            "best_weights": self.fitted.best_weights,
            "elapsed_s": self.elapsed_s,
            "queue_s": self.queue_s,
            "asked_at": self.lane["asked_at"],
            "params": self.lane["params"],  # so that it can be asked for again where the study is lost
        }
        try:
            self.checkpoints.save(self.lane["trial_id"], len(self.fitted.curve), state)
        except OSError as error:
            # A checkpoint is an insurance: a disk that does not take it costs the trial nothing yet.
            self.warn(f"{self.checkpoints.storage}: no checkpoint written ({error.strerror or error})")

    def warn(self, words: str) -> None:
        """Says something in its row and in the log, once."""
        if words not in self.warning:
            self.warning = "; ".join(filter(None, (self.warning, words)))

    @property
    def elapsed_s(self) -> float:
        return self.earlier_s + time.perf_counter() - self.began

    def _take_up(self, state: dict[str, Any]) -> None:
        self.fitted = _fitted(state)
        self.queue_s = state["queue_s"]  # not the time the first worker took
        if state.get("asked_at") != self.lane["asked_at"]:
            spent = {name: self.fitted.measured()[name] for name in ("train_s", "eval_s")}
            self.before = {**spent, "wall_time_s": self.earlier_s, "queue_s": self.queue_s}


def check(state: dict[str, Any]) -> None:
    """Raises KeyError, TypeError or ValueError for a state that no lane can take up."""
    fitted = _fitted(state)
    fitted.measured()
    if not all(isinstance(state[key], float) for key in ("elapsed_s", "queue_s")):
        raise TypeError("its times are no numbers")
    if state["trainer"]["epoch"] != len(fitted.curve):
        raise ValueError(f"{len(fitted.curve)} epochs reported, {state['trainer']['epoch']} trained")


def _fitted(state: dict[str, Any]) -> FitResult:
    curve = [EpochResult(**result) for result in state["curve"]]
    best = next((result for result in curve if result.epoch == state["best_epoch"]), None)
    return FitResult(curve, best, dict(state["best_weights"]))


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: a value that is not finite becomes null."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
