"""How certain an accuracy or another metric is, and which ones differ significantly. Pure: arrays in, numbers out.

A metric on a test set varies for two reasons: the seed that a network was trained with, and which images happen to be
in the test set. Every function here takes both into account. The correct answers of a configuration are an array of
bool (seeds, images): its networks, trained with several seeds, on the test set that all configurations share. Where the
metric is no mean over images, `Resampled` stands for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy.special import stdtr, stdtrit  # Student's t; scipy.stats has it too, and takes a second to import

from hpo.trials.metric import ACCURACY
from trainers.config import LOWER_IS_BETTER, METRICS

LEVEL = 0.05  # two-sided significance level of tests and intervals


RESAMPLES = 400  # of the test images: the standard error of a standard error is 3.5 %


@dataclass(frozen=True)
class Resampled:
    """Scores of a configuration's networks, and what they would be on other test images (the bootstrap: Efron, 1979).

    More is better, as with `score` in hpo/trials/records.py.
    """

    values: np.ndarray
    """float (seeds,): the score of each network on the test images."""
    resampled: np.ndarray
    """float (seeds, RESAMPLES): on images drawn from them with replacement, the same ones for all networks and all
    configurations, so that differences are paired."""


Tested = np.ndarray | Resampled


def resample(
    score: Callable[[np.ndarray, np.ndarray], float], labels: np.ndarray, probabilities: np.ndarray
) -> tuple[float, np.ndarray]:
    """The score of one network on all test images, and on each resample of them: float (RESAMPLES,).

    labels: (N,). probabilities: (N, classes).
    """
    rng = np.random.default_rng(0)
    draws = (rng.integers(0, len(labels), len(labels)) for _ in range(RESAMPLES))
    return float(score(labels, probabilities)), np.array([score(labels[at], probabilities[at]) for at in draws])


@dataclass(frozen=True)
class Measured:
    """The accuracy or the score of a configuration, with its interval. An accuracy is a fraction in [0, 1]."""

    mean: float
    """Over the seeds."""
    std: float | None
    """Over the seeds, with n - 1; None for one seed."""
    low: float
    """Lower end of the 95 % interval for the configuration's accuracy over all seeds and images."""
    high: float
    """Upper end of the interval."""

    def of_metric(self, metric: str) -> Measured:
        """The metric's values behind scores, of which more is better; the interval ends where its values do."""
        if metric in LOWER_IS_BETTER:
            return Measured(-self.mean, self.std, max(0.0, -self.high), -self.low)
        return replace(self, low=max(0.0, self.low), high=min(1.0, self.high)) if metric in METRICS else self


def values_of(tested: Tested) -> np.ndarray:
    """The accuracy or the score of each network: float (seeds,)."""
    return tested.values if isinstance(tested, Resampled) else tested.mean(axis=1)


def measure(tested: Tested) -> Measured:
    """Measures the accuracy of one configuration, with the 95 % interval mean +- t * sqrt(s^2 / k + p (1 - p) / n).

    s^2 / k is the variance of the mean over k seeds. p (1 - p) / n is the variance of a proportion over n images, with
    p shifted towards one half by four artificial images (Agresti and Coull, 1998), so that an accuracy of 100 % is not
    certain. t has the degrees of freedom of Welch and Satterthwaite, with the second part as known. With one seed there
    is no first part: the interval is then that of the network, not of its configuration.

    Of another metric the part of the images is the variance of the networks' mean over resampled test images. Where all
    images are classified correctly that is 0, and the interval too small.
    """
    measured = _measured(values_of(tested), _variance_over_images(tested))
    return measured if isinstance(tested, Resampled) else measured.of_metric(ACCURACY)


def measure_accuracies(accuracies: Sequence[float], images: int) -> Measured:
    """The same of accuracies of networks, one for each seed, on so many test images."""
    values = np.array(accuracies)
    return _measured(values, _variance_of_share(float(values.mean()), images)).of_metric(ACCURACY)


def _measured(values: np.ndarray, of_images: float) -> Measured:
    """values: one for each seed. of_images: the variance over the images of their mean."""
    seeds, mean = len(values), float(values.mean())
    of_seeds = float(values.var(ddof=1)) / seeds if seeds > 1 else 0.0
    freedom = _freedom(of_images + of_seeds, [(of_seeds, seeds)])
    half = _quantile(freedom) * math.sqrt(of_images + of_seeds)
    std = float(values.std(ddof=1)) if seeds > 1 else None
    return Measured(mean, std, mean - half, mean + half)


def _variance_over_images(tested: Tested) -> float:
    if isinstance(tested, Resampled):
        return float(tested.resampled.mean(axis=0).var(ddof=1))
    return _variance_of_share(float(tested.mean(axis=1).mean()), tested.shape[1])


def _variance_of_share(mean: float, images: int) -> float:
    share = (images * mean + 2.0) / (images + 4.0)
    return share * (1 - share) / (images + 4)


def p_value(one: Tested, other: Tested) -> float:
    """Computes the p value of the hypothesis that two configurations are equally accurate: Welch's t test.

    The variance of the difference of means is s1^2 / k1 + s2^2 / k2, for the seeds, plus the variance over images of
    the difference in how many seeds classified an image correctly, divided by the number of images: images that are
    easy or hard for both have no effect. The noise of single networks on single images is in both parts, which errs
    towards "equal". With one seed the variance over seeds is unknown, and the result is 1.
    """
    values = [values_of(tested) for tested in (one, other)]
    if min(map(len, values)) < 2:
        return 1.0
    parts = [(float(of_seeds.var(ddof=1)) / len(of_seeds), len(of_seeds)) for of_seeds in values]
    variance = _variance_of_difference(one, other) + sum(part for part, _ in parts)
    mean = abs(float(values[0].mean() - values[1].mean()))
    if variance == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stdtr(_freedom(variance, parts), -mean / math.sqrt(variance)))


def _variance_of_difference(one: Tested, other: Tested) -> float:
    """Over images, of the difference between two configurations' means."""
    if isinstance(one, Resampled) and isinstance(other, Resampled):
        return float((one.resampled.mean(axis=0) - other.resampled.mean(axis=0)).var(ddof=1))
    assert isinstance(one, np.ndarray) and isinstance(other, np.ndarray), "these are judged by the same metric"
    difference = one.mean(axis=0) - other.mean(axis=0)
    return float(difference.var(ddof=1)) / len(difference) if len(difference) > 1 else 0.0


def tied_with(best: int, all_right: Sequence[Tested]) -> list[bool]:
    """For each configuration, whether it is not significantly different from the one at `best`.

    Two-sided tests at 5 % for the whole table, with Holm's correction (Holm, 1979) over all pairs. Pairs with the best
    alone are not enough: the best is partly the luckiest, and among many equal configurations it would differ from some
    in far more than 5 % of cases.
    """
    pairs = list(combinations(range(len(all_right)), 2))
    values = [p_value(all_right[a], all_right[b]) for a, b in pairs]
    apart = {pair for pair, different in zip(pairs, holm(values), strict=True) if different}
    return [at == best or (min(at, best), max(at, best)) not in apart for at in range(len(all_right))]


def holm(p_values: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Says which hypotheses are rejected; a true one is among them in at most `level` of cases (Holm, 1979)."""
    rejected = [False] * len(p_values)
    for done, at in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        if p_values[at] > level / (len(p_values) - done):
            break
        rejected[at] = True
    return rejected


def _freedom(variance: float, parts: Sequence[tuple[float, int]]) -> float:
    """Degrees of freedom of a variance (Welch, 1947; Satterthwaite, 1946).

    `parts` has the summands of the variance that were estimated, each with its number of values.
    """
    estimated = sum(part**2 / (count - 1) for part, count in parts if count > 1)
    return variance**2 / estimated if estimated > 0 else math.inf


def _quantile(freedom: float) -> float:
    return float(stdtrit(freedom, 1 - LEVEL / 2))
