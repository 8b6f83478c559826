"""What one trial has come to on its worker: its epochs, its checkpoints, its report."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from hpo.store.checkpoints import Checkpoints
from hpo.trials.messages import TrialReport, TrialRequest
from hpo.trials.records import TrialState
from hpo.worker.settings import SearchSettings
from trainers.config import EpochResult, FitResult


class RunningTrial:
    """One trial of a group: what it has come to, and its report."""

    def __init__(
        self, settings: SearchSettings, request: TrialRequest, began: float, state: Any = None, warning: str = ""
    ) -> None:
        """began: when its group did, as time.perf_counter() has it. state: of its checkpoint, where there is one, left
        by a worker or a driver that died. warning: for its row."""
        self.settings, self.request, self.began, self.warning = settings, request, began, warning
        self.queue_s = max(0.0, time.time() - request.asked_at)
        self.checkpoints = Checkpoints(settings.checkpoints, check)
        self.fitted, self.unreported = FitResult(), 0
        self.setup_s, self.share_s = 0.0, 0.0
        self.parameters: int | None = None
        self.earlier_s = state["elapsed_s"] if state else 0.0
        self.before: dict[str, float] = {}
        self.last: TrialReport | None = None
        if state:
            self._take_up(state)

    @property
    def is_over(self) -> bool:
        return self.last is not None

    @property
    def elapsed_s(self) -> float:
        return self.earlier_s + time.perf_counter() - self.began

    def report(self, state: TrialState, error: str = "", traceback: str = "") -> TrialReport:
        """What it has come to. The report that says that it is over is given again and again."""
        if self.last is None:
            report = self._report(state, error, traceback)
            if state == TrialState.RUNNING:
                return report
            self.last = report
        return self.last

    def _report(self, state: TrialState, error: str, traceback: str) -> TrialReport:
        curve = self.fitted.curve
        new, self.unreported = curve[self.unreported :], len(curve)
        return TrialReport(
            **self.fitted.measured(),
            trial_id=self.request.trial_id,
            state=state,
            error=error,
            traceback=traceback,
            warning=self.warning,
            curve=tuple(new),
            parameters=self.parameters,
            wall_time_s=self.elapsed_s,
            before=self.before,
            queue_s=self.queue_s,
            setup_s=self.setup_s,
            share_s=self.share_s,
            device=self.settings.device,
            node=self.settings.node,
            workers=self.settings.workers,
            lanes=self.request.lanes,
        )

    def begins(self, parameters: int, warning: str) -> None:
        """Its trainer is made: what its row says of that."""
        self.warn(warning)
        self.parameters, self.setup_s = parameters, time.perf_counter() - self.began

    def add_time(self, seconds: float) -> None:
        """Adds to its share of the wall time of its group."""
        self.share_s += seconds

    def save(self, trainer: dict[str, Any]) -> None:
        """Writes a checkpoint, with what the trainer needs to go on."""
        state = {
            "trainer": trainer,
            "fused": self.settings.is_fused,
            "curve": [asdict(result) for result in self.fitted.curve],
            "best_epoch": self.fitted.best.epoch if self.fitted.best else None,
            "best_weights": self.fitted.best_weights,
            "elapsed_s": self.elapsed_s,
            "queue_s": self.queue_s,
            "asked_at": self.request.asked_at,
            "params": dict(self.request.params),  # so that it can be asked for again where the study is lost
        }
        try:
            self.checkpoints.save(self.request.trial_id, len(self.fitted.curve), state)
        except OSError as error:
            # A checkpoint is an insurance: a disk that does not take it costs the trial nothing yet.
            self.warn(f"{self.checkpoints.storage}: no checkpoint written ({error.strerror or error})")

    def warn(self, words: str) -> None:
        """Says something in its row and in the log, once."""
        if words not in self.warning:
            self.warning = "; ".join(filter(None, (self.warning, words)))

    def _take_up(self, state: dict[str, Any]) -> None:
        self.fitted = _fitted(state)
        self.queue_s = state["queue_s"]  # not the time the first worker took
        if state.get("asked_at") != self.request.asked_at:
            spent = {name: self.fitted.measured()[name] for name in ("train_s", "eval_s")}
            self.before = {**spent, "wall_time_s": self.earlier_s, "queue_s": self.queue_s}


def check(state: dict[str, Any]) -> None:
    """Raises KeyError, TypeError or ValueError for a state that no trial can go on from."""
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
