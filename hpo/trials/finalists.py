"""The finalists of a run, and their order. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpo.trials.metric import value_of
from hpo.trials.ranking import Ranked
from hpo.trials.records import TrialRecord, TrialState
from hpo.trials.significance import Measured, Resampled, Tested, measure, tied_with, values_of
from trainers.config import PLANNED_SCHEDULES, TrainConfig

MOST_GROWTH = 1.5  # over which the finals' further images are worth more than any luck of the search
FIRST_SEED = 1_000_000  # above the seeds of the trials, unless a study has a million of them


@dataclass(frozen=True)
class Finalist:
    """A configuration that was trained again with several seeds, and tested."""

    record: TrialRecord
    """The trial that found the configuration."""
    seeds: tuple[int, ...]
    """The seeds of its networks."""
    right: np.ndarray
    """bool (seeds, test images): whether a network classified an image correctly."""
    scores: Resampled | None = None
    """The metric on the test images; None where it is the accuracy."""
    growth: float = 1.0
    """Images that its networks were trained on, the validation images among them, per image of the trial."""
    tied_with_best: bool = True
    """Whether it is not significantly different from the best one, see hpo/trials/significance.py."""

    @property
    def judged_by(self) -> Tested:
        """What finalists are compared by."""
        return self.right if self.scores is None else self.scores

    @property
    def measured(self) -> Measured:
        """The metric on the test images, with its interval."""
        return measure(self.judged_by).of_metric(self.record.metric)

    @property
    def accuracy(self) -> Measured:
        """The test accuracy, with its interval."""
        return measure(self.right)

    @property
    def values(self) -> list[float]:
        """The metric of each network on the test images."""
        return [value_of(self.record.metric, score) or 0.0 for score in values_of(self.judged_by).tolist()]

    @property
    def optimism(self) -> float | None:
        """The metric on the validation images, by which the trial was chosen, minus that on the test images; of a
        metric of which less is better the other way round. None where the finals' networks had so many more images than
        the trial that the two say nothing of each other."""
        return None if self.growth > MOST_GROWTH else (self.record.score or 0.0) - measure(self.judged_by).mean


def growth(train: int, validation: int) -> float:
    """The images of both splits, which finals train on, per image of the training split."""
    return 1 + validation / train


def choose(ranked: Sequence[Ranked], each: int) -> list[TrialRecord]:
    """Chooses the best `each` usable trials of every architecture, best first."""
    taken: dict[str, int] = {}
    chosen = []
    for item in ranked:
        model = item.record.model
        if item.record.usable and taken.get(model, 0) < each:
            taken[model] = taken.get(model, 0) + 1
            chosen.append(item.record)
    return chosen


def final_epochs(record: TrialRecord, epochs: int) -> int:
    """Returns the epochs that a finalist's networks are trained for. `epochs`: of a trial that is not stopped early.

    All of them where the schedule is laid out over them: its learning rate reaches its end only in the last epoch, so
    that a training that ends before is cut off with a rate too high. An earlier epoch that was the best of the search
    was so by chance. All of them also for a trial that was stopped early, because its best epoch is only the best of
    those that it was given. Otherwise the best epoch: what comes after it did not help.
    """
    schedule = record.config.get("schedule", TrainConfig.schedule)
    if schedule in PLANNED_SCHEDULES or record.state is TrialState.STOPPED:
        return epochs
    return record.best_epoch or epochs


def final_seeds(study_seed: int, count: int) -> tuple[int, ...]:
    """The seeds of a finalist's networks."""
    first = FIRST_SEED + study_seed
    return tuple(range(first, first + count))


def order(finalists: Sequence[Finalist]) -> list[Finalist]:
    """Sorts by the metric on the test images, then parameters, then the trial's wall time; marks those that are tied
    with the best."""
    best_first = sorted(
        finalists,
        key=lambda f: (-measure(f.judged_by).mean, f.record.parameters, f.record.wall_time_s, f.record.trial_id),
    )
    ties = tied_with(0, [finalist.judged_by for finalist in best_first]) if best_first else []
    return [replace(finalist, tied_with_best=tied) for finalist, tied in zip(best_first, ties, strict=True)]
