"""Which trial is best. Pure: records in, ranks out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hpo.system.errors import UserError
from hpo.trials.records import TrialRecord, TrialState

_GROUPS = {TrialState.COMPLETED: 0, TrialState.STOPPED: 0, TrialState.DIVERGED: 1, TrialState.FAILED: 2}

# What a trial is ranked by, lower is better.
_COSTS: dict[str, Callable[[TrialRecord], float]] = {
    "accuracy": lambda record: 1.0 if record.val_accuracy is None else -record.val_accuracy,
    "parameters": lambda record: record.parameters,
    "time": lambda record: record.wall_time_s,
}
CRITERIA = tuple(_COSTS)


@dataclass(frozen=True)
class Ranked:
    """rank: from 1, without a gap. pareto: no other trial is as good in all three and better in one."""

    rank: int
    record: TrialRecord
    pareto: bool


@dataclass(frozen=True)
class RankBy:
    """order: the criteria, most important first; those that are left out follow in their usual order. weights: instead
    of an order, how much each counts. images: of the validation split; where given, trials within one standard error
    of the best accuracy count as equal to it, and the smallest of them is first. objectives: of a study with several,
    whose Pareto front comes before all others."""

    order: tuple[str, ...] = CRITERIA
    weights: tuple[tuple[str, float], ...] = ()
    images: int | None = None
    objectives: tuple[str, ...] = ()

    @classmethod
    def of(cls, words: Sequence[str], images: int | None = None, objective: Sequence[str] = ()) -> RankBy:
        """From ("parameters", "accuracy") or ("accuracy=1", "time=0.2"); ValueError, in one line, for anything else.

        objective: the study's, of which a single one makes no difference.
        """
        return replace(cls._in_words(words), images=images, objectives=tuple(objective) if len(objective) > 1 else ())

    @classmethod
    def _in_words(cls, words: Sequence[str]) -> RankBy:
        names = [word.partition("=")[0] for word in words]
        said = f"--rank-by {' '.join(words)}"
        for name in names:
            if name not in CRITERIA:
                raise UserError(f"{said}: {name!r} is none of {', '.join(CRITERIA)}")
        if len(set(names)) < len(names):
            raise UserError(f"{said}: names one twice")
        with_weight = [word for word in words if "=" in word]
        if not with_weight:
            return cls((*names, *(name for name in CRITERIA if name not in names)))
        if len(with_weight) < len(words):
            raise UserError(f"{said}: give all of them a weight (NAME=NUMBER), or none")
        return cls(weights=tuple((name, _weight(said, word)) for name, word in zip(names, words, strict=True)))


DEFAULT = RankBy()


def _weight(said: str, word: str) -> float:
    try:
        value = float(word.partition("=")[2])
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise UserError(f"{said}: the weight in {word!r} must be a number over 0")
    return value


def rank(records: Sequence[TrialRecord], by: RankBy = DEFAULT) -> list[Ranked]:
    """Ranks trials: by default by validation accuracy (high first), then parameters, then wall time (low first).

    Completed and stopped trials come first, then diverged, then failed ones. Equal trials keep the order
    of their ids, so the ranking does not depend on who finished first.
    """
    front = pareto_front(records)
    costs = _weighed(records, by) if by.weights else _in_order(by.order)
    as_good = _within_one_standard_error(records, by.images) if by.images else set()
    ahead = pareto_front(records, by.objectives) if by.objectives else set()

    def key(record: TrialRecord) -> tuple[float | str, ...]:
        group = _GROUPS[record.state], record.trial_id not in ahead, record.trial_id not in as_good
        how = _in_order(("parameters", "time", "accuracy")) if record.trial_id in as_good else costs
        return *group, *how(record), record.trial_id

    return [Ranked(n, record, record.trial_id in front) for n, record in enumerate(sorted(records, key=key), start=1)]


def pareto_front(records: Sequence[TrialRecord], criteria: Sequence[str] = CRITERIA) -> set[str]:
    """Ids of the trials not beaten in all of the criteria (accuracy, parameters and wall time) by one other trial."""
    costs = _in_order(criteria)
    front: list[tuple[float, ...]] = []
    found = set()
    # In this order a trial can only be beaten by one before it, and then also by one on the front.
    for record in sorted((record for record in records if record.usable), key=costs):
        cost = costs(record)
        if not any(_beats(other, cost) for other in front):
            front.append(cost)
            found.add(record.trial_id)
    return found


class Leaders:
    """The trials that may still be first when all are finished, kept up to date as they finish.

    In the usual order that is the best so far. By weights or within a standard error, what is best depends on trials
    that are still to come; but whichever it is, it lies on the Pareto front.
    """

    def __init__(self, by: RankBy, records: Sequence[TrialRecord]) -> None:
        self._alone = not by.weights and by.images is None and not by.objectives
        self._by = by
        front = pareto_front(records)
        ranked = [item.record for item in rank(records, by)]
        self._records = ranked[:1] if self._alone else [record for record in ranked if record.trial_id in front]

    def added(self, record: TrialRecord) -> list[TrialRecord]:
        """Takes a finished trial in; returns those that cannot be first any more, which may be itself."""
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
    """The weighted sum of costs, each scaled to 0 for the best and 1 for the worst usable trial. Parameters and times
    are compared by their logarithms: they span orders of magnitude, and twice as many is always as bad."""
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
    return cost if name == "accuracy" else math.log(max(cost, 1e-9))


def _within_one_standard_error(records: Sequence[TrialRecord], images: int) -> set[str]:
    """The trials that Breiman et al. (1984) would not tell from the best by its accuracy on so many images."""
    usable = [record for record in records if record.usable]
    best = max((record.val_accuracy or 0.0 for record in usable), default=0.0)
    least = best - math.sqrt(best * (1 - best) / images)
    return {record.trial_id for record in usable if (record.val_accuracy or 0.0) >= least}
