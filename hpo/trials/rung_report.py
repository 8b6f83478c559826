"""What early stopping decided on each rung, and how well the rung predicts the next one. Pure: records in.

It needs the learning curves alone, so it can be computed for a run that was resumed, and for an old one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from hpo.trials.records import TrialRecord

MIN_COMPARED = 5  # trials; a correlation of fewer is mostly chance
# Below it a rung predicts badly. Only trials that went on can be compared. They are alike on the rung, so that the
# correlation is low on a good rung too: on six tables of 400 real trials, between epochs 2 and 6, it is 0.82 to 0.95
# over all of them, and 0.38 to 0.72 over the best quarter.
LOW_CORRELATION = 0.1
MIN_TO_JUDGE = 10  # trials, before a user is told so


@dataclass(frozen=True)
class RungReport:
    """One rung of one architecture, over the finished trials of a run."""

    model: str
    epochs: int
    """After so many epochs trials are compared on this rung."""
    came: int
    """Trials with a score on the rung."""
    went_on: int
    """Those of them that were trained further."""
    next_epochs: int
    """The epochs of the next rung; of the last rung, those of a trial that is not stopped early."""
    compared: int
    """Trials with a score on both."""
    rank_correlation: float | None
    """Spearman's, between the scores on both; None for fewer than `MIN_COMPARED` trials."""

    @property
    def predicts_badly(self) -> bool:
        """Whether enough trials say that the order on the rung is hardly that on the next one."""
        known, enough = self.rank_correlation, self.compared >= MIN_TO_JUDGE
        return known is not None and enough and known < LOW_CORRELATION

    def to_dict(self) -> dict[str, Any]:
        """Plain values for study.json, which has them under the architecture's name."""
        return {key: value for key, value in vars(self).items() if key != "model"}


def report_rungs(records: Sequence[TrialRecord], rungs: Sequence[int], epochs: int) -> list[RungReport]:
    """Reports on each rung of each architecture. `epochs`: of a trial that is not stopped early."""
    curves: dict[str, list[dict[int, float]]] = {}
    for record in records:
        curves.setdefault(record.model, []).append(_curve(record))
    steps = list(pairwise((*rungs, epochs)))
    return [_report(model, rung, after, of_model) for model, of_model in curves.items() for rung, after in steps]


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Computes Spearman's rank correlation; None for fewer than `MIN_COMPARED` values, or for equal ones only."""
    if len(one) < MIN_COMPARED or len(set(one)) == 1 or len(set(other)) == 1:
        return None
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _report(model: str, rung: int, after: int, curves: Sequence[dict[int, float]]) -> RungReport:
    came = [curve for curve in curves if not math.isnan(curve.get(rung, math.nan))]
    both = [curve for curve in came if not math.isnan(curve.get(after, math.nan))]
    return RungReport(
        model=model,
        epochs=rung,
        came=len(came),
        went_on=sum(max(curve) > rung for curve in came),
        next_epochs=after,
        compared=len(both),
        rank_correlation=rank_correlation([curve[rung] for curve in both], [curve[after] for curve in both]),
    )


def _curve(record: TrialRecord) -> dict[int, float]:
    """The score by epoch; NaN where the loss was not finite."""
    return {epoch: math.nan if score is None else score for epoch, score in record.scores.items()}


def _ranks(values: Sequence[float]) -> np.ndarray:
    """The rank of each value; equal values share the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks
