"""What is private in Optuna, as read in version 5.0: the only file that uses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
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
