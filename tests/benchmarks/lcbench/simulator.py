"""A search in simulated time: so many workers train the epochs that a strategy wants trained."""

from __future__ import annotations

import enum
import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from tests.benchmarks.lcbench.surrogate import Curve

Curves = Callable[[Mapping[str, Any]], Curve]  # the learning curve of a configuration


class Verdict(enum.Enum):
    """What happens to a trial after an epoch."""

    CONTINUE = enum.auto()
    PAUSE = enum.auto()
    """It gives its worker back, and may go on later where it stood."""
    STOP = enum.auto()
    COMPLETE = enum.auto()
    """It has trained its last epoch."""


@dataclass(frozen=True)
class Job:
    """A trial for a worker that is free: a new one, or a paused one that goes on."""

    trial: int
    config: Mapping[str, Any]


class Strategy(Protocol):
    """Decides what is trained."""

    def extend(self, trials: int) -> None:
        """The search may begin so many more trials."""

    def next_job(self) -> Job | None:
        """What a free worker does next. None: nothing, until another epoch is over."""

    def report(self, trial: int, epoch: int, accuracy: float) -> Verdict:
        """An epoch of a trial is over."""


@dataclass
class History:
    """What a search had found after each epoch that it trained, whichever trial it was of."""

    seconds: list[float] = field(default_factory=list)
    best: list[float] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    """How many epochs were trained when each round of trials was over."""


class Simulator:
    """Workers that train trials, epoch by epoch. Pausing and resuming take no time."""

    def __init__(self, strategy: Strategy, curve: Curves, workers: int) -> None:
        self.strategy, self.curve, self.free = strategy, curve, workers
        self.now = 0.0
        self.history = History()
        self._curves: dict[int, Curve] = {}
        self._trained: dict[int, int] = {}
        self._running: list[tuple[float, int, int]] = []  # when the epoch ends, the order of equals, the trial
        self._order = count()

    def run(self, trials: int, is_enough: Callable[[History], bool] = lambda _: False) -> None:
        """Lets the search begin so many more trials, and trains until nothing is left to do, or `is_enough` after an
        epoch."""
        self.strategy.extend(trials)
        self._hand_out()
        while self._running:
            self._finish_epoch()
            if is_enough(self.history):
                return
            self._hand_out()
        self.history.ends.append(len(self.history.best))

    def _hand_out(self) -> None:
        while self.free and (job := self.strategy.next_job()) is not None:
            self.free -= 1
            if job.trial not in self._curves:
                self._curves[job.trial], self._trained[job.trial] = self.curve(job.config), 0
            self._begin_epoch(job.trial)

    def _begin_epoch(self, trial: int) -> None:
        seconds = self._curves[trial].seconds[self._trained[trial]]
        heapq.heappush(self._running, (self.now + float(seconds), next(self._order), trial))

    def _finish_epoch(self) -> None:
        self.now, _, trial = heapq.heappop(self._running)
        self._trained[trial] += 1
        accuracy = float(self._curves[trial].accuracies[self._trained[trial] - 1])
        self.history.seconds.append(self.now)
        self.history.best.append(max([accuracy, *self.history.best[-1:]]))
        if self.strategy.report(trial, self._trained[trial], accuracy) is Verdict.CONTINUE:
            self._begin_epoch(trial)
        else:
            self.free += 1
