"""Trials that wait on rungs, and who of them goes on: early stopping by promotion. Pure.

Asynchronous successive halving as published (ASHA: Li et al., 2020, "A System for Massively Parallel Hyperparameter
Tuning", algorithm 2). A trial pauses on every rung. It goes on when it is in the upper 1/factor of all that came to
this rung so far. So a decision that few trials made is none for good: a trial that seemed weak goes on later, when
worse ones have come after it.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping, Sequence
from operator import itemgetter

from hpo.trials.asha import REDUCTION_FACTOR

SPARE = 4  # so many beyond those that may go on keep waiting


class Ladder:
    """The rungs, what trials reached on them, and which trials wait there."""

    def __init__(self, rungs: Sequence[int], factor: int = REDUCTION_FACTOR) -> None:
        """rungs: in epochs, rising; none where no trial pauses. factor: one in so many goes on."""
        self.rungs, self.factor = tuple(rungs), factor
        # (minus the value, the trial) of all that came to a rung: the best first, of equal ones the first that came.
        self._ranked: dict[int, list[tuple[float, str]]] = {rung: [] for rung in self.rungs}
        self._values: dict[int, dict[str, float]] = {rung: {} for rung in self.rungs}
        self._waiting: dict[str, int] = {}

    def add(self, trial_id: str, curve: Mapping[int, float | None]) -> None:
        """Adds what a trial reached: its score by epoch. Values that are not on a rung are passed over."""
        for rung in self.rungs:
            if (value := curve.get(rung)) is not None:
                self._place(rung, trial_id, value)

    def wait(self, trial_id: str, rung: int) -> None:
        """The trial waits on this rung. Its value there was added before."""
        self._waiting[trial_id] = rung

    def leave(self, trial_id: str) -> int:
        """The trial waits no more; returns the rung that it waited on."""
        return self._waiting.pop(trial_id)

    def hopeless(self) -> list[str]:
        """Returns the trials that wait so far behind that they are not likely to go on: a checkpoint costs space."""
        return [
            trial_id
            for rung, ranked in self._ranked.items()
            for _, trial_id in ranked[len(ranked) // self.factor + SPARE :]
            if self._waiting.get(trial_id) == rung
        ]

    def next_to_go_on(self, *, closing: bool = False) -> str | None:
        """Returns the trial that goes on next: the best of those that may, on the highest rung that has any.

        closing: no new trials come, so that the best trial of each rung goes on, however few there are.
        """
        for rung in reversed(self.rungs):
            ranked = self._ranked[rung]
            for _, trial_id in ranked[: max(len(ranked) // self.factor, int(closing))]:
                if self._waiting.get(trial_id) == rung:
                    return trial_id
        return None

    def _place(self, rung: int, trial_id: str, value: float) -> None:
        """Ranks the trial on the rung; a trial that begins anew may come there a second time."""
        before = self._values[rung].get(trial_id)
        if before == value:
            return
        if before is not None:
            self._ranked[rung].remove((-before, trial_id))
        self._values[rung][trial_id] = value
        insort(self._ranked[rung], (-value, trial_id), key=itemgetter(0))
