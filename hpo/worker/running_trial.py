"""What one trial has come to on its worker: its epochs, its checkpoints, its report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from hpo.store.checkpoints import CHECKPOINTS_KEPT, Checkpoints
from hpo.trials.messages import TrialReport, TrialRequest
from hpo.trials.records import TrialState
from hpo.worker.settings import SearchSettings
from trainers.config import EpochResult, FitResult


@dataclass(frozen=True)
class _End:
    """How a trial ended, if it has; the fields are those of its report."""

    state: TrialState
    error: str = ""
    traceback: str = ""


class RunningTrial:
    """One trial of a group: what it has come to, and its report."""

    def __init__(
        self, settings: SearchSettings, request: TrialRequest, began: float, state: Any = None, warning: str = ""
    ) -> None:
        """began: when its group did, as time.perf_counter() has it. state: of its checkpoint, where there is one, left
        by a worker or a driver that died. warning: for its row."""
        self.settings, self.request, self.earlier_s = settings, request, state["elapsed_s"] if state else 0.0
        self._began, self._warning = began, warning
        self._queue_s = max(0.0, time.time() - request.asked_at)
        self._checkpoints = Checkpoints(settings.checkpoints, check)
        self._fitted, self._reported_epochs = FitResult(), 0
        self._parameters: int | None = None
        self._setup_s, self._share_s = 0.0, 0.0
        self._before: dict[str, float] = {}
        self._end = _End(TrialState.RUNNING)
        self._last: TrialReport | None = None
        if state:
            self._take_up(state)

    @property
    def is_over(self) -> bool:
        return self._end.state != TrialState.RUNNING

    @property
    def epochs(self) -> int:
        """How many it has trained."""
        return len(self._fitted.curve)

    @property
    def has_diverged(self) -> bool:
        """Whether its last epoch's loss is not finite."""
        return self._fitted.diverged

    @property
    def score(self) -> float:
        """Of its last epoch: what trials are compared by."""
        return self._fitted.curve[-1].score

    @property
    def elapsed_s(self) -> float:
        return self.earlier_s + time.perf_counter() - self._began

    def begins(self, parameters: int, warning: str) -> None:
        """Its trainer is made: what its row says of that."""
        self.warn(warning)
        self._parameters, self._setup_s = parameters, time.perf_counter() - self._began

    def add_epoch(self, result: EpochResult, weights: Callable[[], dict[str, Any]]) -> None:
        """Adds an epoch that it has trained; calls `weights` only where it is the best so far."""
        self._fitted.add(result, weights)

    def add_time(self, seconds: float) -> None:
        """Adds to its share of the wall time of its group."""
        self._share_s += seconds

    def end(self, state: TrialState, error: str = "", traceback: str = "") -> None:
        """Ends it, unless it is over already."""
        if not self.is_over:
            self._end = _End(state, error, traceback)

    def report(self) -> TrialReport:
        """What it has come to. The report that says that it is over is given again and again."""
        if self._last is not None:
            return self._last
        report = self._make_report()
        self._reported_epochs = self.epochs
        if self.is_over:
            self._last = report
        return report

    def save(self, trainer: dict[str, Any], keep: int = CHECKPOINTS_KEPT) -> None:
        """Writes a checkpoint, with what the trainer needs to go on. keep: so many of its checkpoints stay."""
        state = {
            "trainer": trainer,
            "fused": self.settings.is_fused,
            "curve": [asdict(result) for result in self._fitted.curve],
            "best_epoch": self._fitted.best.epoch if self._fitted.best else None,
            "best_weights": self._fitted.best_weights,
            "elapsed_s": self.elapsed_s,
            "queue_s": self._queue_s,
            "asked_at": self.request.asked_at,
            "params": dict(self.request.params),  # so that it can be asked for again where the study is lost
        }
        try:
            self._checkpoints.save(self.request.trial_id, self.epochs, state, keep)
        except OSError as error:
            # A checkpoint is an insurance: a disk that does not take it costs the trial nothing yet.
            self.warn(f"{self._checkpoints.storage}: no checkpoint written ({error.strerror or error})")

    def warn(self, words: str) -> None:
        """Says something in its row and in the log, once."""
        if words not in self._warning:
            self._warning = "; ".join(filter(None, (self._warning, words)))

    def _make_report(self) -> TrialReport:
        return TrialReport(
            **self._fitted.measured(),
            **vars(self._end),
            trial_id=self.request.trial_id,
            warning=self._warning,
            curve=tuple(self._fitted.curve[self._reported_epochs :]),
            parameters=self._parameters,
            wall_time_s=self.elapsed_s,
            before=self._before,
            queue_s=self._queue_s,
            setup_s=self._setup_s,
            share_s=self._share_s,
            device=self.settings.device,
            node=self.settings.node,
            workers=self.settings.workers,
            group_size=self.request.group_size,
        )

    def _take_up(self, state: dict[str, Any]) -> None:
        self._fitted = _read_fitted(state)
        self._queue_s = state["queue_s"]  # not the time the first worker took
        if state.get("asked_at") != self.request.asked_at:
            spent = {name: self._fitted.measured()[name] for name in ("train_s", "eval_s")}
            self._before = {**spent, "wall_time_s": self.earlier_s, "queue_s": self._queue_s}


def check(state: dict[str, Any]) -> None:
    """Raises KeyError, TypeError or ValueError for a state that no trial can go on from."""
    fitted = _read_fitted(state)
    fitted.measured()
    if not all(isinstance(state[key], float) for key in ("elapsed_s", "queue_s")):
        raise TypeError("its times are no numbers")
    if state["trainer"]["epoch"] != len(fitted.curve):
        raise ValueError(f"{len(fitted.curve)} epochs reported, {state['trainer']['epoch']} trained")


def _read_fitted(state: dict[str, Any]) -> FitResult:
    curve = [EpochResult(**result) for result in state["curve"]]
    best = next((result for result in curve if result.epoch == state["best_epoch"]), None)
    return FitResult(curve, best, dict(state["best_weights"]))
