"""Early stopping: the rungs, and who goes on after one. Pure.

Asynchronous successive halving (ASHA: Li et al., 2020), after successive halving (Jamieson & Talwalkar, 2016).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

REDUCTION_FACTOR, GRACE_EPOCHS = 3, 1


def rungs(epochs: int) -> tuple[int, ...]:
    """The epochs at which weak trials are stopped: 1, 3, 9, ..., all before the last."""
    counts = [GRACE_EPOCHS * REDUCTION_FACTOR**k for k in range(64)]
    return tuple(count for count in counts if count < epochs)


def survivors(values: Sequence[float], known: Iterable[float] = (), factor: int = 3) -> list[int]:
    """Places of the `values` on a rung, higher ones are better, that are in the upper 1/factor of them and `known`.

    known: of trials that were on this rung before. A value that is not a number counts as the worst and never goes on;
    of a value alone there is nothing to say, so it goes on. Equal values fare alike.
    """
    finite = [value for value in values if not math.isnan(value)]
    limit = cutoff([*finite, *known], factor)
    return [place for place, value in enumerate(values) if not math.isnan(value) and value >= limit]


def cutoff(values: Sequence[float], factor: int) -> float:
    """The value at the lower end of the upper 1/factor, interpolated as by numpy's percentile; -inf of none."""
    if not values:
        return -math.inf
    ordered = sorted(values)
    below, rest = divmod((len(ordered) - 1) * (factor - 1), factor)
    if rest == 0 or ordered[below] == ordered[below + 1]:
        return ordered[below]  # no rounding may put it above what it is made of
    return ordered[below] + (ordered[below + 1] - ordered[below]) * rest / factor
