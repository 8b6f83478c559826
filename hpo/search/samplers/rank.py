"""Podium's sampler: a Gaussian process over the ranks of trials, whichever epoch they came to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import FrozenTrial, TrialState
from scipy.special import ndtri

from hpo.search.samplers.belief import STRENGTH, Belief
from hpo.search.samplers.encoding import Encoding, Point, Points
from hpo.search.samplers.process import Process
from hpo.spec.spaces.guess import Guess

STARTUP_TRIALS = 10  # drawn at random, or near the best one
CANDIDATES = 500  # drawn from the whole space, and as many near the best trials
BELIEVED = 0.25  # of the trials drawn at first, from a belief that is trusted wholly
PARENTS = 5
SPREAD = 0.5  # of a step away from a good trial, in units of a hyperparameter's range
MAX_DRAWS = 20  # for a configuration that was not tried yet
LEAST_IMPROVEMENT = 1e-12  # its logarithm is finite
MAX_TRIALS = 200  # that the process looks at: the best half and the newest half


class RankSampler(BaseSampler):
    """Draws the configuration with the largest expected improvement, where a value is a trial's rank.

    Trials are ranked by the highest rung of early stopping that they came to by merit, and there by their accuracy.
    Ranks are turned into quantiles of the normal distribution. So trials of 2 epochs and of 50 are seen by one model,
    which no outlier disturbs, and which needs no assumption about learning curves. (Quantiles in place of values:
    Salinas et al., 2020, "A Quantile-based Approach for Hyperparameter Transfer Learning".)

    Trials that still run count with the value that the model predicts, so that several workers differ.
    """

    def __init__(self, seed: int, rungs: Sequence[int] = (), guesses: Sequence[Guess] = ()) -> None:
        """rungs: the epochs at which trials are compared. guesses: configurations that may be good."""
        self.rungs, self.guesses = tuple(rungs), tuple(guesses)
        self._rng = np.random.default_rng(seed)
        self._random = RandomSampler(seed=seed)
        self._spaces = IntersectionSearchSpace(include_pruned=True)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        space = self._spaces.calculate(study)
        return {name: distribution for name, distribution in space.items() if not distribution.single()}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            return {}
        others = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
        seen = self._ranked([other for other in others if set(search_space) <= set(other.params)])
        if not seen:
            return {}
        encoding = Encoding(search_space)
        belief = Belief(self.guesses, encoding)
        points = encoding.points([other.params for other in seen])
        running = [other.params for other in others if other.state == TrialState.RUNNING]
        pending = encoding.points([params for params in running if set(search_space) <= set(params)])
        begins = len(seen) < STARTUP_TRIALS
        drawn = self._begin(encoding, points, belief) if begins else self._best(encoding, points, pending, belief)
        return _first_new(map(encoding.config, drawn), map(encoding.config, [*points, *pending]))

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def reseed_rng(self) -> None:
        self._rng = np.random.default_rng()
        self._random.reseed_rng()

    def _begin(self, encoding: Encoding, points: Points, belief: Belief) -> Iterator[Point]:
        """Yields points that are believed to be good, or near the best one so far, which at first is the recipe, or
        from anywhere."""
        for _ in range(MAX_DRAWS):
            if belief and self._rng.random() < BELIEVED * belief.trust(points):
                yield belief.draw(1, self._rng)[0]
            elif self._rng.random() < 0.5:
                yield encoding.random(1, self._rng)[0]
            else:
                yield encoding.mutated(points[-1], 1, SPREAD, self._rng)[0]

    def _best(self, encoding: Encoding, points: Points, pending: Points, belief: Belief) -> Iterator[Point]:
        """Yields many points, the most promising first. points: of trials, the worst first."""
        values = ndtri((np.arange(len(points)) + 0.5) / len(points))
        process = Process.fitted(encoding, points, values, self._rng).believing(pending)
        candidates = self._candidates(encoding, points, belief)
        promise = np.log(process.expected_improvement(candidates) + LEAST_IMPROVEMENT)
        if belief:
            promise += STRENGTH * belief.trust(points) / len(points) * belief.log_density(candidates)
        yield from candidates[np.argsort(-promise, kind="stable")]

    def _candidates(self, encoding: Encoding, points: Points, belief: Belief) -> Points:
        """Returns configurations from anywhere, from near the best trials, and from where a belief says."""
        parents = points[: -PARENTS - 1 : -1]
        near = [encoding.mutated(point, CANDIDATES // PARENTS, SPREAD, self._rng) for point in parents]
        believed = [belief.draw(CANDIDATES, self._rng)] if belief else []
        return np.concatenate([encoding.random(CANDIDATES, self._rng), *near, *believed])

    def _ranked(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Returns those that have ended or are paused, the worst first; of very many, the best and the newest."""
        ended = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        middles = {rung: self._middle(ended, rung) for rung in self.rungs}
        ranked = sorted(ended, key=lambda trial: self._key(trial, middles))
        if len(ranked) <= MAX_TRIALS:
            return ranked
        newest = {trial.number for trial in sorted(ended, key=lambda trial: trial.number)[-MAX_TRIALS // 2 :]}
        best = {trial.number for trial in ranked[-MAX_TRIALS // 2 :]}
        return [trial for trial in ranked if trial.number in newest | best]

    def _middle(self, trials: Sequence[FrozenTrial], rung: int) -> float:
        """Returns the median of what trials have on a rung."""
        values = [trial.intermediate_values[rung] for trial in trials if rung in trial.intermediate_values]
        return float(np.median(values)) if values else 0.0

    def _key(self, trial: FrozenTrial, middles: Mapping[int, float]) -> tuple[int, float]:
        """Returns (rungs that the trial came to, its value there): a completed trial has passed all of them.

        A trial in the worse half of a rung did not go on by merit: the first trial is always trained to its end. So
        what comes after that rung does not count.
        """
        last = 0, max(trial.intermediate_values.values(), default=-1.0)
        for place, rung in enumerate(self.rungs, start=1):
            value = trial.intermediate_values.get(rung)
            if value is not None:
                last = place, value
                if value < middles[rung]:
                    return last
        return (len(self.rungs) + 1, float(trial.value or 0.0)) if trial.state == TrialState.COMPLETE else last


def _first_new(drawn: Iterable[dict[str, Any]], tried: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Returns the first configuration that was not tried; where all were, as in an exhausted space, the first one."""
    known, configs = list(tried), iter(drawn)
    first = next(configs)
    return next((config for config in chain([first], configs) if config not in known), first)
