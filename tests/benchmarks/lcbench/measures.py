"""How strategies compare: regret, and how much sooner one is as good as another one after its first round of trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.lcbench.runs import Run

MAX_FACTOR = 4.0  # a search that is not as good in this many times the epochs is not followed further
RESAMPLES, CONFIDENCE = 10_000, 0.95


@dataclass(frozen=True)
class Speed:
    """One strategy against another one, on an axis."""

    factors: np.ndarray
    """By task: its epochs (or seconds) over the other's, until the other's accuracy. Below 1: it is faster."""

    @property
    def mean(self) -> float:
        """The geometric mean over tasks."""
        return float(np.exp(np.log(self.factors).mean()))

    @property
    def interval(self) -> tuple[float, float]:
        """Where the mean lies, by a bootstrap over tasks."""
        draws = np.random.default_rng(0).integers(len(self.factors), size=(RESAMPLES, len(self.factors)))
        means = np.exp(np.log(self.factors)[draws].mean(axis=1))
        low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return float(low), float(high)

    @property
    def slower(self) -> int:
        """On how many tasks it is slower."""
        return int((self.factors > 1).sum())

    @property
    def censored(self) -> int:
        """On how many tasks it was not as good within `MAX_FACTOR`, or within its rounds."""
        return int((self.factors >= MAX_FACTOR).sum())


def speed(runs: Sequence[Run], reference: Sequence[Run], axis: str) -> Speed:
    """Compares the runs of two strategies on the same tasks. A task's factor is that of the medians over seeds."""
    ours, theirs = by_task(runs), by_task(reference)
    return Speed(np.array([_factor(ours[task], theirs[task], axis) for task in theirs]))


def goal(reference: Sequence[Run]) -> float:
    """The accuracy after the first round of trials on one task, the median over seeds."""
    return _median([run.accuracy[run.first_round] for run in reference])


def regret_at(runs: Sequence[Run], optima: Mapping[str, float], epochs: float) -> float:
    """How many points of accuracy are missing to the best known one after so many epochs, the mean over all runs."""
    return float(np.mean([optima[run.task] - run.best_at("epochs", epochs) for run in runs]))


def first_round(runs: Sequence[Run], optima: Mapping[str, float]) -> tuple[float, float]:
    """The epochs of the first round of trials, and the regret after it, means over all runs."""
    epochs = [run.epochs[run.first_round] for run in runs]
    regrets = [optima[run.task] - run.accuracy[run.first_round] for run in runs]
    return float(np.mean(epochs)), float(np.mean(regrets))


def by_task(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The runs of each task."""
    return {task: [run for run in runs if run.task == task] for task in dict.fromkeys(run.task for run in runs)}


def _factor(ours: Sequence[Run], theirs: Sequence[Run], axis: str) -> float:
    accuracy = goal(theirs)
    our_median, their_median = (_median([run.until(axis, accuracy) for run in side]) for side in (ours, theirs))
    return min(our_median / their_median, MAX_FACTOR)


def _median(values: Sequence[float]) -> float:
    """The middle value; of an even number the lower one of the two, since the mean with one that is never reached is
    no number."""
    return float(np.quantile(values, 0.5, method="lower"))
