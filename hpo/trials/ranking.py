"""Ranks trials. Pure: records in, ranks out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hpo.system.errors import UserError
from hpo.trials.metric import ACCURACY, label
from hpo.trials.records import TrialRecord, TrialState

_GROUPS = {TrialState.COMPLETED: 0, TrialState.STOPPED: 0, TrialState.DIVERGED: 1, TrialState.FAILED: 2}

# The criteria as costs: lower is better. A user calls the score by the name of its metric.
_COSTS: dict[str, Callable[[TrialRecord], float]] = {
    "score": lambda record: math.inf if record.score is None else -record.score,
    "parameters": lambda record: record.parameters,
    "time": lambda record: record.wall_time_s,
}
CRITERIA = tuple(_COSTS)


@dataclass(frozen=True)
class Ranked:
    """A trial with its rank."""

    rank: int
    """From 1, without gaps."""
    record: TrialRecord
    pareto: bool
    """Whether, of the trials that were trained to their end, no other one is at least as good in all three criteria,
    and better in one."""


@dataclass(frozen=True)
class RankBy:
    """How trials are ranked."""

    order: tuple[str, ...] = CRITERIA
    """The criteria, most important first."""
    weights: tuple[tuple[str, float], ...] = ()
    """Weights of the criteria, instead of an order."""
    images: int | None = None
    """Number of validation images for the one-standard-error rule, where the metric is the accuracy: trials within one
    standard error of the best accuracy count as equal to it, and the smallest of them is first. None for no such
    rule."""
    objectives: tuple[str, ...] = ()
    """The objectives of a study with several; its Pareto front comes before all other trials."""

    @classmethod
    def of(
        cls, words: Sequence[str], images: int | None = None, objective: Sequence[str] = (), metric: str = ACCURACY
    ) -> RankBy:
        """Reads ("parameters", "accuracy") or ("accuracy=1", "time=0.2"). Raises UserError for anything else.

        Criteria that are left out follow in their usual order. `objective` has the study's objectives; a single one
        makes no difference.
        """
        several = [_criterion(name, metric) for name in objective] if len(objective) > 1 else []
        return replace(cls._in_words(words, metric), images=images, objectives=tuple(several))

    @classmethod
    def _in_words(cls, words: Sequence[str], metric: str) -> RankBy:
        said = f"--rank-by {' '.join(words)}"
        names = [_criterion(word.partition("=")[0], metric) for word in words]
        for word, name in zip(words, names, strict=True):
            if not name:
                choices = ", ".join((label(metric), *CRITERIA[1:]))
                raise UserError(f"{said}: {word.partition('=')[0]!r} is unknown; choose from {choices}")
        if len(set(names)) < len(names):
            raise UserError(f"{said}: names a criterion twice")
        with_weight = [word for word in words if "=" in word]
        if not with_weight:
            return cls((*names, *(name for name in CRITERIA if name not in names)))
        if len(with_weight) < len(words):
            raise UserError(f"{said}: give a weight (NAME=NUMBER) to all of them, or to none")
        return cls(weights=tuple((name, _weight(said, word)) for name, word in zip(names, words, strict=True)))


DEFAULT = RankBy()


def _criterion(name: str, metric: str) -> str:
    """The criterion that a user's word stands for; "" of an unknown one."""
    return {label(metric): "score", **{known: known for known in CRITERIA[1:]}}.get(name, "")


def _weight(said: str, word: str) -> float:
    try:
        value = float(word.partition("=")[2])
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise UserError(f"{said}: the weight in {word!r} must be a number above 0")
    return value


def rank(records: Sequence[TrialRecord], by: RankBy = DEFAULT) -> list[Ranked]:
    """Ranks trials: by default by their score on the validation images (high first), then parameters, then wall time
    (low first).

    Completed and stopped trials come first, then diverged, then failed ones. Equal trials keep the order
    of their ids, so the ranking does not depend on who finished first.
    """
    # A trial that was stopped has less time than its configuration needs, and would be on the front by that alone.
    front = pareto_front([record for record in records if record.state is TrialState.COMPLETED] or records)
    costs = _weighed(records, by) if by.weights else _in_order(by.order)
    as_good = _within_one_standard_error(records, by.images) if by.images else set()
    ahead = pareto_front(records, by.objectives) if by.objectives else set()

    def key(record: TrialRecord) -> tuple[float | str, ...]:
        group = _GROUPS[record.state], record.trial_id not in ahead, record.trial_id not in as_good
        how = _in_order(("parameters", "time", "score")) if record.trial_id in as_good else costs
        return *group, *how(record), record.trial_id

    return [Ranked(n, record, record.trial_id in front) for n, record in enumerate(sorted(records, key=key), start=1)]


def pareto_front(records: Sequence[TrialRecord], criteria: Sequence[str] = CRITERIA) -> set[str]:
    """Finds the usable trials that no other one beats: as good in all criteria, better in one. Returns their ids."""
    costs = _in_order(criteria)
    front: list[tuple[float, ...]] = []
    found = set()
    # In this order only an earlier trial can beat a trial, and then one on the front beats it too.
    for record in sorted((record for record in records if record.usable), key=costs):
        cost = costs(record)
        if not any(_beats(other, cost) for other in front):
            front.append(cost)
            found.add(record.trial_id)
    return found


class Leaders:
    """The trials that may still be ranked first when all trials have finished.

    In a plain order that is the best one so far. With weights or within one standard error the best one depends on
    trials that have yet to come, but it is always on the Pareto front.
    """

    def __init__(self, by: RankBy, records: Sequence[TrialRecord]) -> None:
        self._alone = not by.weights and by.images is None and not by.objectives
        self._by = by
        front = pareto_front(records)
        ranked = [item.record for item in rank(records, by)]
        self._records = ranked[:1] if self._alone else [record for record in ranked if record.trial_id in front]

    def added(self, record: TrialRecord) -> list[TrialRecord]:
        """Adds a finished trial; returns those that cannot be first any more, possibly including it."""
        together = [*self._records, record]
        if self._alone:
            best, *out = (item.record for item in rank(together, self._by))
            self._records = [best]
            return out
        front = pareto_front(together)
        self._records = [each for each in together if each.trial_id in front]
        return [each for each in together if each.trial_id not in front]


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def _in_order(names: Sequence[str]) -> Callable[[TrialRecord], tuple[float, ...]]:
    return lambda record: tuple(_COSTS[name](record) for name in names)


def _weighed(records: Sequence[TrialRecord], by: RankBy) -> Callable[[TrialRecord], tuple[float, ...]]:
    """Makes the weighted sum of costs, each scaled to 0 for the best and 1 for the worst usable trial.

    Parameters and times are compared by their logarithms: they span orders of magnitude, and doubling them is equally
    bad everywhere.
    """
    usable = [record for record in records if record.usable]
    scales = {}
    for name, _ in by.weights:
        values = [_scale(name, record) for record in usable] or [0.0]
        scales[name] = (min(values), (max(values) - min(values)) or 1.0)

    def costs(record: TrialRecord) -> tuple[float, ...]:
        parts = [w * (_scale(name, record) - scales[name][0]) / scales[name][1] for name, w in by.weights]
        return (sum(parts), *_in_order(CRITERIA)(record))

    return costs


def _scale(name: str, record: TrialRecord) -> float:
    cost = _COSTS[name](record)
    return cost if name == "score" else math.log(max(cost, 1e-9))


def _within_one_standard_error(records: Sequence[TrialRecord], images: int) -> set[str]:
    """Finds the trials within one standard error of the best accuracy on so many images (Breiman et al., 1984)."""
    usable = [record for record in records if record.usable]
    best = max((record.val_accuracy or 0.0 for record in usable), default=0.0)
    least = best - math.sqrt(best * (1 - best) / images)
    return {record.trial_id for record in usable if (record.val_accuracy or 0.0) >= least}
