"""Who draws configurations, and how it is told what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState
from ray.tune.search.optuna import OptunaSearch

from hpo.store.database.optuna_private import trial_key
from tests.benchmarks.lcbench.simulator import Verdict

Space = Mapping[str, BaseDistribution]


class Sampler(Protocol):
    """Draws configurations of trials, which it knows by their numbers."""

    def ask(self, trial: int) -> Mapping[str, Any]: ...

    def report(self, trial: int, epoch: int, accuracy: float) -> None: ...

    def end(self, trial: int, verdict: Verdict) -> None:
        """The trial gives its worker back, after its last report."""


class OptunaSampler:
    """A plain Optuna study: ask, report, tell.

    A paused trial is told as pruned with the values that it has, since a running one would count as a bad one. It is
    told again after each further rung, which Optuna ordinarily refuses.
    """

    def __init__(
        self,
        space: Space,
        sampler: BaseSampler,
        seed: int,
        pruner: BasePruner | None = None,
        only_complete: bool = False,
    ) -> None:
        """only_complete: the sampler learns from complete trials only, and is told every trial as one."""
        self.space, self.storage = dict(space), UpdatableStorage()
        self.only_complete = only_complete
        self.study = optuna.create_study(
            storage=self.storage,
            direction="maximize",
            sampler=sampler,
            pruner=pruner or optuna.pruners.NopPruner(),
            study_name=f"seed {seed}",  # from which HyperbandPruner takes a trial's bracket
        )
        self.trials: dict[int, optuna.Trial] = {}
        self.last: dict[int, float] = {}

    def ask(self, trial: int) -> Mapping[str, Any]:
        self.trials[trial] = self.study.ask(fixed_distributions=self.space)
        return self.trials[trial].params

    def report(self, trial: int, epoch: int, accuracy: float) -> None:
        self.trials[trial].report(accuracy, epoch)
        self.last[trial] = accuracy

    def end(self, trial: int, verdict: Verdict) -> None:
        is_complete = self.only_complete or verdict is Verdict.COMPLETE
        state = TrialState.COMPLETE if is_complete else TrialState.PRUNED
        self.storage.set_trial_state_values(trial_key(self.trials[trial]), state, [self.last[trial]])


class UpdatableStorage(InMemoryStorage):
    """Optuna's storage in memory, whose trials take new values after their end."""

    def check_trial_is_updatable(self, trial_id: int, trial_state: TrialState) -> None: ...


class RaySampler:
    """Ray's OptunaSearch. Tune tells it a stopped trial as a complete one, with its last value."""

    def __init__(self, space: Space, seed: int) -> None:
        self.search = OptunaSearch(dict(space), metric="accuracy", mode="max", seed=seed)
        self.results: dict[int, dict[str, float]] = {}

    def ask(self, trial: int) -> Mapping[str, Any]:
        config = self.search.suggest(str(trial))
        assert config is not None
        return config

    def report(self, trial: int, epoch: int, accuracy: float) -> None:
        self.results[trial] = {"accuracy": accuracy, "training_iteration": epoch}
        self.search.on_trial_result(str(trial), self.results[trial])

    def end(self, trial: int, verdict: Verdict) -> None:
        self.search.on_trial_complete(str(trial), self.results[trial])
