"""How much sooner one search is as good as another one is in the end, on the same tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.benchmarks.lcbench.measures import MAX_FACTOR, Speed, by_task
from tests.benchmarks.lcbench.runs import Run

ROUNDING = 1e-9


def speed(runs: Sequence[Run], reference: Sequence[Run]) -> Speed:
    """Compares the runs of two strategies on the same tables.

    A table's factor: the epochs until the accuracy that the reference has in the end, over those of the reference
    itself. Both accuracies are means over seeds.
    """
    ours, theirs = by_task(runs), by_task(reference)
    return Speed(np.array([_factor(ours[table], theirs[table]) for table in theirs]))


def _factor(ours: Sequence[Run], theirs: Sequence[Run]) -> float:
    goal = float(np.mean([run.accuracy[-1] for run in theirs])) - ROUNDING
    return min(_until(ours, goal) / _until(theirs, goal), MAX_FACTOR)


def _until(runs: Sequence[Run], accuracy: float) -> float:
    """Returns after how many epochs the mean accuracy of the runs is as high; infinity where it never is."""
    epochs = np.arange(1, max(int(run.epochs[-1]) for run in runs) + 1)
    best = [np.append(0.0, run.accuracy)[np.searchsorted(run.epochs, epochs, side="right")] for run in runs]
    reached = np.flatnonzero(np.mean(best, axis=0) >= accuracy)
    return float(epochs[reached[0]]) if len(reached) else np.inf
