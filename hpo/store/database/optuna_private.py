"""What is private in Optuna, as read in version 5.0: only the files of this folder use it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
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


Trials = list[FrozenTrial]


class ViewingSampler(BaseSampler):
    """A sampler that sees a study's trials as `view` shows them."""

    def __init__(self, sampler: BaseSampler, view: Callable[[optuna.Study, Trials], Trials]) -> None:
        self.sampler, self.view = sampler, view

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
        return cast(optuna.Study, _StudyView(study, partial(self.view, study)))


class _StudyView:
    """A study, whose trials are shown as `view` returns them."""

    def __init__(self, study: optuna.Study, view: Callable[[Trials], Trials]) -> None:
        self._study, self._view = study, view

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def get_trials(self, deepcopy: bool = True, states: Collection[TrialState] | None = None) -> list[FrozenTrial]:
        return self._get_trials(deepcopy, states)

    def _get_trials(
        self, deepcopy: bool = True, states: Collection[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        seen = self._view(self._study._get_trials(deepcopy=deepcopy, use_cache=use_cache))
        return [trial for trial in seen if states is None or trial.state in states]
