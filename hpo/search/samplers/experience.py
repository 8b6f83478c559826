"""What earlier runs know of good configurations: first trials for a new search, and guesses for its sampler. Pure.

Accuracies of other data sets and architectures do not compare. So a trial counts by its place among the trials of its
own run and architecture. (Ranks: Salinas et al., 2020, "A Quantile-based Approach for Hyperparameter Transfer
Learning". First trials that cover many tasks: Feurer et al., 2022, "Auto-Sklearn 2.0".)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from hpo.search.samplers.encoding import Encoding
from hpo.spec.spaces.guess import Guess
from hpo.spec.spaces.search_space import Distributions, Space, move_into
from hpo.trials.records import TrialRecord, TrialState

GOOD = 5  # so many of a source's best trials count at most
GOOD_SHARE = 0.8  # a trial counts as a guess where it is above this quantile of its source
# Of a guess's hyperparameters. On LCBench the regret after 300 epochs is 0.9 points with it, 1.6 with half of it, 4.5
# without earlier runs; after 750 epochs it is -0.05, -0.02 and 1.4.
WIDTH = 0.3
MAX_FIRST_CONFIGS = 6  # with 3, the regret after 300 epochs is 1.6
ONE_IN = 5  # at most so much of a search is spent on first trials of others
CLOSE = 0.1  # configurations that are nearer than this, as a share of the ranges, are one
# How much a source says, relative to one of another architecture.
SAME_MODEL, SAME_MODEL_AND_DATA = 2.0, 4.0


@dataclass(frozen=True)
class Source:
    """What an earlier run tried with one architecture."""

    model: str
    dataset: str
    configs: tuple[Mapping[str, Any], ...]
    """The configurations of its trials, the best first."""


@dataclass(frozen=True)
class Lessons:
    """What a new search takes from earlier ones."""

    first_configs: tuple[dict[str, Any], ...] = ()
    """What to try after the recipe."""
    guesses: tuple[Guess, ...] = ()
    """What the sampler is told."""


def sources(records: Iterable[TrialRecord], rungs: Sequence[int]) -> list[Source]:
    """Returns what the trials of one run say, by architecture. rungs: the epochs at which the run compared trials."""
    by_model: dict[tuple[str, str], list[TrialRecord]] = {}
    for record in records:
        if record.state is not TrialState.FAILED:
            by_model.setdefault((record.model, record.dataset), []).append(record)
    ranked = {key: sorted(group, key=lambda r: _key(r, rungs), reverse=True) for key, group in by_model.items()}
    return [Source(*key, tuple(record.config for record in group)) for key, group in ranked.items()]


def learn(known: Iterable[Source], model: str, dataset: str, space: Space, trials: int) -> Lessons:
    """Returns what a search of so many trials, for an architecture on a data set, takes from the sources."""
    weighted = [(_weight(source, model, dataset), source) for source in known]
    weighted.sort(key=lambda pair: -pair[0])  # stable: of equal ones in the order in which they were given
    if not space.searched:
        return Lessons()
    guesses = [guess for weight, source in weighted for guess in _guesses(source, weight, space)]
    # Only what was good in its own run: of a few trials, the better half.
    good = [source.configs[: min(GOOD, (len(source.configs) + 1) // 2)] for _, source in weighted]
    return Lessons(tuple(covering(good, space, min(MAX_FIRST_CONFIGS, allowed(trials)))), tuple(guesses))


def allowed(trials: int) -> int:
    """Returns how many trials of a search may be spent on configurations of others."""
    return max(1, trials // ONE_IN)


def covering(good: Sequence[Sequence[Mapping[str, Any]]], space: Space, most: int) -> Iterator[dict[str, Any]]:
    """Yields at most so many configurations: the best of each source, then the second best of each, and so on. One that
    is close to an earlier one, or to the recipe, is left out. good: of each source, the best first."""
    encoding = Encoding(space.searched)
    recipe = {name: space.default[name] for name in space.distributions}
    chosen = [recipe]
    for row in zip_longest(*good):
        for config in filter(None, row):
            full = recipe | _shared(config, space.distributions)
            if len(chosen) <= most and _distance(encoding, full, chosen) >= CLOSE:
                chosen.append(full)
                yield full


def _key(record: TrialRecord, rungs: Sequence[int]) -> tuple[int, float]:
    """Returns (rungs that the trial came to, its score there), as the sampler compares trials. One that diverged is
    behind all others."""
    if record.state is TrialState.DIVERGED:
        return -1, 0.0
    if record.state is TrialState.COMPLETED:
        return len(rungs) + 1, -math.inf if record.score is None else record.score
    curve = record.scores
    reached = [value for rung in rungs if isinstance(value := curve.get(rung), int | float)]
    return (len(reached), reached[-1]) if reached else (0, -math.inf if record.score is None else record.score)


def _weight(source: Source, model: str, dataset: str) -> float:
    if source.model != model:
        return 1.0
    return SAME_MODEL_AND_DATA if source.dataset == dataset else SAME_MODEL


def _guesses(source: Source, weight: float, space: Space) -> Iterator[Guess]:
    """Yields the source's best trials. The guesses of a source weigh as much together as its weight says."""
    count = len(source.configs)
    above = [place for place in range(count) if (count - place - 0.5) / count > GOOD_SHARE][:GOOD]
    for place in above:
        shared = _shared(source.configs[place], space.distributions)
        if config := {name: value for name, value in shared.items() if name in space.searched}:
            yield Guess(config, weight / len(above), dict.fromkeys(config, WIDTH))


def _distance(encoding: Encoding, config: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> float:
    """Returns how far the nearest of the others is: the root of the mean square over the hyperparameters."""
    squares = encoding.squared_distances(encoding.points([config]), encoding.points(others))
    return float(np.sqrt(squares.mean(axis=2).min()))


def _shared(config: Mapping[str, Any], distributions: Distributions) -> dict[str, Any]:
    """Returns the hyperparameters that both have, moved into today's ranges; nothing where the optimizer is none of
    today's: learning rates of optimizers do not compare."""
    optimizers = distributions.get("optimizer")
    if optimizers is not None and "optimizer" in config and not _is_value(config["optimizer"], optimizers):
        return {}
    shared = {name: config[name] for name, d in distributions.items() if name in config and _is_value(config[name], d)}
    return {name: _moved(value, distributions[name]) for name, value in shared.items()}


def _is_value(value: Any, distribution: BaseDistribution) -> bool:
    """Whether it is one of the choices; of a range, whether it is a number: a file is not taken at its word."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    return isinstance(value, int | float) and not isinstance(value, bool) and -math.inf < value < math.inf


def _moved(value: Any, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[
            distribution.choices.index(value)
        ]  # 1 and True are equal; one of them is the choice
    moved = move_into(value, distribution)
    return round(moved) if isinstance(distribution, IntDistribution) else float(moved)
