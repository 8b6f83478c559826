"""Which trial is best. Pure: records in, ranks out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpo.records import TrialRecord, TrialState

_GROUPS = {TrialState.COMPLETED: 0, TrialState.STOPPED: 0, TrialState.DIVERGED: 1, TrialState.FAILED: 2}


@dataclass(frozen=True)
class Ranked:
    """rank: from 1, without a gap. pareto: no other trial is as good in all three and better in one."""

    rank: int
    record: TrialRecord
    pareto: bool


def rank(records: Sequence[TrialRecord]) -> list[Ranked]:
    """Ranks trials by validation accuracy (high first), then parameters, then wall time (low first).

    Completed and stopped trials come first, then diverged, then failed ones. Equal trials keep the order
    of their ids, so the ranking does not depend on who finished first.
    """
    front = pareto_front(records)
    ordered = sorted(records, key=_key)
    return [Ranked(n, record, record.trial_id in front) for n, record in enumerate(ordered, start=1)]


def pareto_front(records: Sequence[TrialRecord]) -> set[str]:
    """Ids of the trials not beaten in accuracy, parameters and wall time by one other trial at once."""
    usable = sorted((r for r in records if r.usable), key=_key)
    front: list[TrialRecord] = []
    # In ranking order a trial can only be beaten by one before it, and then also by one on the front.
    for record in usable:
        if not any(_beats(other, record) for other in front):
            front.append(record)
    return {record.trial_id for record in front}


def _key(record: TrialRecord) -> tuple[int, float, int, float, str]:
    accuracy = -1.0 if record.val_accuracy is None else record.val_accuracy
    return _GROUPS[record.state], -accuracy, record.parameters, record.wall_time_s, record.trial_id


def _beats(one: TrialRecord, other: TrialRecord) -> bool:
    ours = (-(one.val_accuracy or 0.0), one.parameters, one.wall_time_s)
    theirs = (-(other.val_accuracy or 0.0), other.parameters, other.wall_time_s)
    return all(a <= b for a, b in zip(ours, theirs, strict=True)) and ours != theirs
