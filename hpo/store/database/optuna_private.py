"""What is private in Optuna, as read in version 5.0: only the files of this folder use it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial


def has_value_at(trial: optuna.Trial, step: int) -> bool:
    """Whether a trial has an intermediate value at a step. Its public way asks the storage, once for each epoch."""
    return step in trial._cached_frozen_trial.intermediate_values


def trial_key(trial: optuna.Trial | FrozenTrial) -> int:
    """The trial's key in its storage, which differs from its number."""
    return trial._trial_id


def make_wait(study: optuna.Study, key: int) -> None:
    """Puts a running trial back to waiting: `ask` gives it out next, with the hyperparameters it had.

    Study.enqueue_trial would make another trial of it, with another number.
    """
    study._storage.set_trial_state_values(key, state=TrialState.WAITING)


def waiting_trial(params: Mapping[str, Any]) -> FrozenTrial:
    """A trial that `ask` gives out with these hyperparameters, and samples the others, once Study.add_trial has it.

    Study.enqueue_trial keeps them in the same attribute, but only adds such a trial itself.
    """
    return create_trial(state=TrialState.WAITING, system_attrs={"fixed_params": dict(params)})


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a value is in the range of a distribution."""
    return distribution._contains(distribution.to_internal_repr(value))


class PausedAsPruned(BaseSampler):
    """A sampler that takes paused trials for pruned ones.

    To Optuna a trial that waits on a rung is running, and TPE counts running trials among the bad ones.
    """

    def __init__(self, sampler: BaseSampler, paused: Callable[[], Collection[int]]) -> None:
        """paused: returns the numbers of the trials that are paused at present."""
        self.sampler, self.paused = sampler, paused

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.sampler.infer_relative_search_space(self._seen(study), trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self.sampler.sample_relative(self._seen(study), trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self.sampler.sample_independent(self._seen(study), trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self.sampler.before_trial(study, trial)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self.sampler.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        self.sampler.reseed_rng()

    def _seen(self, study: optuna.Study) -> optuna.Study:
        paused = self.paused()
        return cast(optuna.Study, _StudyView(study, paused)) if paused else study


class _StudyView:
    """A study, some of whose trials are shown as pruned."""

    def __init__(self, study: optuna.Study, pruned: Collection[int]) -> None:
        self._study, self._pruned = study, pruned

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def get_trials(self, deepcopy: bool = True, states: Collection[TrialState] | None = None) -> list[FrozenTrial]:
        return self._get_trials(deepcopy, states)

    def _get_trials(
        self, deepcopy: bool = True, states: Collection[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        trials = self._study._get_trials(deepcopy=deepcopy, use_cache=use_cache)
        seen = [_pruned(trial) if trial.number in self._pruned else trial for trial in trials]
        return [trial for trial in seen if states is None or trial.state in states]


def _pruned(trial: FrozenTrial) -> FrozenTrial:
    shown = copy(trial)
    shown.state = TrialState.PRUNED
    return shown
