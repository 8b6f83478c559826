"""A table as a pool: a search can only try the configurations that are in it, each one once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from hpo.search.samplers.encoding import Encoding
from tests.benchmarks.tables.tables import Table

Config = Mapping[str, Any]


class Pool:
    """The configurations of a table that were not tried yet."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.encoding = Encoding(table.space.searched)
        self.points = self.encoding.points(table.configs)
        self.unused = np.ones(len(table.configs), dtype=bool)
        self._numbers = {self._key(config): number for number, config in enumerate(table.configs)}

    @property
    def space(self) -> dict[str, BaseDistribution]:
        """What is searched."""
        return self.encoding.space

    def take_nearest(self, config: Config) -> dict[str, Any]:
        """Returns the nearest configuration that was not tried yet, which counts as tried from now on."""
        distances = self.encoding.squared_distances(self.encoding.points([config]), self.points)[0].sum(axis=1)
        number = int(np.argmin(np.where(self.unused, distances, np.inf)))
        assert self.unused[number], "all configurations of the pool were tried"
        self.unused[number] = False
        return {name: self.table.configs[number][name] for name in self.space}

    def number(self, config: Config) -> int:
        """Returns the place in the table of a configuration that `take_nearest` has returned."""
        return self._numbers[self._key(config)]

    def _key(self, config: Config) -> tuple[Any, ...]:
        return tuple(config[name] for name in self.space)


class PoolSampler(BaseSampler):
    """Asks another sampler for a configuration, and takes the nearest one of a pool."""

    def __init__(self, sampler: BaseSampler, pool: Pool, first: Sequence[Config]) -> None:
        """first: the configurations of the first trials, which the other sampler is not asked for."""
        self.sampler, self.pool, self.first = sampler, pool, list(first)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.pool.space

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if self.first:
            return self.pool.take_nearest(self.first.pop(0))
        inferred = self.sampler.infer_relative_search_space(study, trial)
        config = dict(self.sampler.sample_relative(study, trial, inferred))
        for name in search_space.keys() - config.keys():
            config[name] = self.sample_independent(study, trial, name, search_space[name])
        return self.pool.take_nearest(config)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self.sampler.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self.sampler.before_trial(study, trial)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self.sampler.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        self.sampler.reseed_rng()
