"""Which trials are trained together: those of one shape, as one network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from hpo.search.asking import AskedTrial, Asker
from trainers.config import PER_TRIAL_SETTINGS

Item = TypeVar("Item")


class GroupMaker:
    """Makes groups of at most so many trials; ordinarily a trial is a group by itself."""

    def __init__(self, asker: Asker, size: int = 1, saved: Mapping[str, int] | None = None) -> None:
        """saved: the epochs that trials of an earlier session have in a checkpoint, by trial id."""
        self.asker, self.size, self.saved = asker, size, saved or {}
        self.waiting: list[list[AskedTrial]] = []  # groups whose first trials are asked for

    @property
    def has_more(self) -> bool:
        return bool(self.waiting) or self.asker.wanted > 0

    def next_group(self) -> list[AskedTrial]:
        """Asks for the next trials to train together. Raises as `Asker.ask`."""
        if not self.waiting:
            # Trials that wait in the study come first, whatever their shapes are.
            count = max(1, min(self.asker.count_waiting(), self.asker.wanted)) if self.size > 1 else 1
            self.waiting = group_alike([self.asker.ask() for _ in range(count)], self._key, self.size)
        group = self.waiting.pop(0)
        shape, epochs = self._key(group[0])
        while len(group) < self.size and self.asker.wanted > 0 and not epochs:
            asked = self.asker.ask_alike(shape)
            if self._key(asked) != (shape, epochs):  # one that was put into the study just now
                self.waiting.append([asked])
                break
            group.append(asked)
        return group

    def _key(self, asked: AskedTrial) -> tuple[dict[str, Any], int]:
        """What trials of a group have in common: their shape, and the epochs that they have in a checkpoint."""
        return shape_of(asked.request.params), self.saved.get(asked.trial_id, 0)


def shape_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters that all trials of a group share."""
    return {key: value for key, value in params.items() if key not in (*PER_TRIAL_SETTINGS, "dropout")}


def group_alike(items: Sequence[Item], key: Callable[[Item], Any], most: int) -> list[list[Item]]:
    """The items in groups of one key and at most `most` items, in the order in which they begin; none is left out."""
    groups: list[list[Item]] = []
    for item in items:
        room = (group for group in groups if len(group) < most and key(group[0]) == key(item))
        group = next(room, None)
        if group is None:
            groups.append([item])
        else:
            group.append(item)
    return groups
