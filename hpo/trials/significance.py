"""How certain an accuracy is, and which accuracies differ significantly. Pure: arrays in, numbers out.

A test accuracy varies for two reasons: the seed that a network was trained with, and which images happen to be in the
test set. Every function here takes both into account. The correct answers of a configuration are an array of bool
(seeds, images): its networks, trained with several seeds, on the test set that all configurations share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import stdtr, stdtrit  # Student's t; scipy.stats has it too, and takes a second to import

LEVEL = 0.05  # two-sided significance level of tests and intervals


@dataclass(frozen=True)
class Measured:
    """The accuracy of a configuration, with its interval. All values are fractions in [0, 1]."""

    mean: float
    """Over the seeds."""
    std: float | None
    """Over the seeds, with n - 1; None for one seed."""
    low: float
    """Lower end of the 95 % interval for the configuration's accuracy over all seeds and images."""
    high: float
    """Upper end of the interval."""


def measure(right: np.ndarray) -> Measured:
    """Measures the accuracy of one configuration, with the 95 % interval mean +- t * sqrt(s^2 / k + p (1 - p) / n).

    s^2 / k is the variance of the mean over k seeds. p (1 - p) / n is the variance of a proportion over n images, with
    p shifted towards one half by four artificial images (Agresti and Coull, 1998), so that an accuracy of 100 % is not
    certain. t has the degrees of freedom of Welch and Satterthwaite, with the second part as known. With one seed there
    is no first part: the interval is then that of the network, not of its configuration.
    """
    seeds, images = right.shape
    accuracies = right.mean(axis=1)
    mean = float(accuracies.mean())
    share = (images * mean + 2) / (images + 4)
    of_images = share * (1 - share) / (images + 4)
    of_seeds = float(accuracies.var(ddof=1)) / seeds if seeds > 1 else 0.0
    freedom = _freedom(of_images + of_seeds, [(of_seeds, seeds)])
    half = _quantile(freedom) * math.sqrt(of_images + of_seeds)
    std = float(accuracies.std(ddof=1)) if seeds > 1 else None
    return Measured(mean, std, max(0.0, mean - half), min(1.0, mean + half))


def p_value(one: np.ndarray, other: np.ndarray) -> float:
    """Computes the p value of the hypothesis that two configurations are equally accurate: Welch's t test.

    The variance of the difference of means is s1^2 / k1 + s2^2 / k2, for the seeds, plus the variance over images of
    the difference in how many seeds classified an image correctly, divided by the number of images: images that are
    easy or hard for both have no effect. The noise of single networks on single images is in both parts, which errs
    towards "equal". With one seed the variance over seeds is unknown, and the result is 1.
    """
    if min(len(one), len(other)) < 2:
        return 1.0
    difference = one.mean(axis=0) - other.mean(axis=0)
    parts = [(float(right.mean(axis=1).var(ddof=1)) / len(right), len(right)) for right in (one, other)]
    of_images = float(difference.var(ddof=1)) / len(difference) if len(difference) > 1 else 0.0
    variance = of_images + sum(part for part, _ in parts)
    mean = abs(float(difference.mean()))
    if variance == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stdtr(_freedom(variance, parts), -mean / math.sqrt(variance)))


def tied_with(best: int, all_right: Sequence[np.ndarray]) -> list[bool]:
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
