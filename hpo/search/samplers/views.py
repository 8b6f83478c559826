"""What samplers are shown of a study's trials."""

from __future__ import annotations

from collections.abc import Callable, Collection
from copy import copy
from functools import partial

import optuna
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpo.store.database.optuna_private import Trials, ViewingSampler

BEST, NEWEST = 100, 400
LOOKED_THROUGH_AFTER = 100  # further trials: to look for the best ones takes longer than what is saved otherwise


def paused_as_pruned(sampler: BaseSampler, paused: Callable[[], Collection[int]]) -> BaseSampler:
    """The sampler takes paused trials for pruned ones: to Optuna a trial that waits on a rung is running, and TPE
    counts running trials among the bad ones.

    paused: returns the numbers of the trials that are paused at present.
    """

    def view(_: optuna.Study, trials: Trials) -> Trials:
        numbers = paused()
        return [_pruned(trial) if trial.number in numbers else trial for trial in trials] if numbers else trials

    return ViewingSampler(sampler, view)


def best_and_newest(sampler: BaseSampler) -> BaseSampler:
    """The sampler of one objective sees, of many trials that have ended, the best 100 and the newest 400, or up to 500:
    what it costs does not grow any more."""
    return ViewingSampler(sampler, _BestAndNewest())


class _BestAndNewest:
    """Leaves out the trials that are neither."""

    def __init__(self) -> None:
        self._left_out: set[int] = set()
        self._looked_through = BEST + NEWEST - LOOKED_THROUGH_AFTER  # so many trials

    def __call__(self, study: optuna.Study, trials: Trials) -> Trials:
        if len(trials) >= self._looked_through + LOOKED_THROUGH_AFTER:
            self._looked_through = len(trials)
            sign = 1 if study.direction == StudyDirection.MAXIMIZE else -1
            older = [trial for trial in trials if trial.state.is_finished()][:-NEWEST]
            worse = sorted(older, key=partial(_merit, sign))[:-BEST]
            self._left_out = {trial.number for trial in worse}
        return [trial for trial in trials if trial.number not in self._left_out] if self._left_out else trials


def _merit(sign: int, trial: FrozenTrial) -> tuple[int, int, float]:
    """The order in which TPE takes trials for good ones: completed ones by value, then pruned ones by how far they
    came, and by their value there."""
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        return 2, 0, sign * trial.value
    if trial.state == TrialState.PRUNED and trial.last_step is not None:
        return 1, trial.last_step, sign * trial.intermediate_values[trial.last_step]
    return 0, 0, 0.0


def _pruned(trial: FrozenTrial) -> FrozenTrial:
    shown = copy(trial)
    shown.state = TrialState.PRUNED
    return shown
