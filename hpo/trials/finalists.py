"""The finalists, and which of them is first. Pure, but for the journal that they are read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpo.trials.ranking import Ranked
from hpo.trials.records import TrialRecord
from hpo.trials.significance import Measured, measure, tied_with

FIRST_SEED = 1_000_000  # above the study's: no trial of it had one of these, unless it has a million trials


@dataclass(frozen=True)
class Finalist:
    """record: of its trial. seeds: of its networks. right: bool (seeds, test images), what they got right.
    tied_with_best: whether it cannot be told from the first one (hpo/trials/significance.py)."""

    record: TrialRecord
    seeds: tuple[int, ...]
    right: np.ndarray
    tied_with_best: bool = True

    @property
    def measured(self) -> Measured:
        return measure(self.right)

    @property
    def optimism(self) -> float:
        """By how much the validation accuracy, which the trial was chosen by, is higher than the test accuracy."""
        return (self.record.val_accuracy or 0.0) - self.measured.mean


def choose(ranked: Sequence[Ranked], each: int) -> list[TrialRecord]:
    """The best `each` usable trials of every architecture, best first."""
    taken: dict[str, int] = {}
    chosen = []
    for item in ranked:
        model = item.record.model
        if item.record.usable and taken.get(model, 0) < each:
            taken[model] = taken.get(model, 0) + 1
            chosen.append(item.record)
    return chosen


def final_seeds(study_seed: int, count: int) -> tuple[int, ...]:
    """Of a finalist's networks."""
    first = FIRST_SEED + study_seed
    return tuple(range(first, first + count))


def order(finalists: Sequence[Finalist]) -> list[Finalist]:
    """By test accuracy, then parameters, then the trial's wall time, with who is tied with the first."""
    best_first = sorted(
        finalists, key=lambda f: (-f.measured.mean, f.record.parameters, f.record.wall_time_s, f.record.trial_id)
    )
    ties = tied_with(0, [finalist.right for finalist in best_first]) if best_first else []
    return [replace(finalist, tied_with_best=tied) for finalist, tied in zip(best_first, ties, strict=True)]
