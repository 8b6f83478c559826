"""Which trials can be trained as one array: those of one shape. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from trainers.config import PER_TRIAL_SETTINGS

Item = TypeVar("Item")


def shape_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters that all lanes of an array share."""
    return {key: value for key, value in params.items() if key not in (*PER_TRIAL_SETTINGS, "dropout")}


def group_alike(items: Sequence[Item], key: Callable[[Item], Any], most: int) -> list[list[Item]]:
    """The items in arrays of one key and at most `most` lanes, in the order in which they begin; none is left out."""
    groups: list[list[Item]] = []
    for item in items:
        room = (group for group in groups if len(group) < most and key(group[0]) == key(item))
        group = next(room, None)
        if group is None:
            groups.append([item])
        else:
            group.append(item)
    return groups


def larger_shares(lanes: Sequence[Item], gpus: float) -> list[tuple[list[Item], float]]:
    """Arrays, and their GPUs, for lanes that ran out of memory on `gpus`: twice the share of a GPU, or on a whole one
    half as many lanes; none where neither is possible."""
    if lanes and 0 < gpus < 1:
        return [(list(lanes), min(1.0, 2 * gpus))]
    half = (len(lanes) + 1) // 2
    return [(list(lanes[:half]), gpus), (list(lanes[half:]), gpus)] if len(lanes) > 1 else []
