"""The checkpoints of trials, in any storage.

A trial that runs keeps its two newest, so that a damaged file costs the epochs since the one before and no more. Many
trials may be paused, for long, and each file is several times as large as the network. So a paused trial keeps its
newest alone: the older one goes when the newest is whole. Where that file is damaged later, the trial begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from hpo.store.checkpoint_stores import CheckpointStorage

CHECKPOINTS_KEPT = 2
KEPT_WHILE_PAUSED = 1
_GROWTH = 3


def is_due(epoch: int) -> bool:
    """Whether a checkpoint is written after this epoch in any case: 1, 3, 9, 27, ... So a network that is cut short
    loses two thirds of its epochs at most, and checkpoints cost a long training next to nothing."""
    while epoch > 1 and epoch % _GROWTH == 0:
        epoch //= _GROWTH
    return epoch == 1


class Checkpoints:
    """The checkpoints of trials in a `CheckpointStorage`: TRIAL@EPOCH.pt."""

    def __init__(self, storage: CheckpointStorage, check: Callable[[dict[str, Any]], object] = lambda _: None) -> None:
        """`check` raises KeyError, TypeError or ValueError for a state that its reader cannot use. Such a state is
        skipped, as a damaged one is."""
        self.storage, self.check = storage, check

    def save(self, trial_id: str, epoch: int, state: dict[str, Any], keep: int = CHECKPOINTS_KEPT) -> None:
        """Writes the state after an epoch. Of the trial's checkpoints only so many, the newest ones, stay. Raises
        OSError, and then all earlier ones stay."""
        self.storage.save(_name(trial_id, epoch), state)
        for name in self._names(trial_id)[keep:]:
            self.storage.remove(name)

    def load(self, trial_id: str, last: int | None = None) -> tuple[dict[str, Any] | None, str]:
        """Returns the trial's newest whole state up to epoch `last`, or None, and what is damaged, or ""."""
        damaged: list[str] = []
        for name in self._names(trial_id):
            if last is not None and name > _name(trial_id, last):
                continue
            try:
                return self._checked(name), "; ".join(damaged)
            except (OSError, ValueError) as error:
                damaged.append(f"{error}: skipped")
        return None, "; ".join(damaged)

    def load_alike(self, trial_ids: Sequence[str]) -> tuple[list[dict[str, Any] | None], list[str]]:
        """Loads trials that continue together: their newest states of the same epoch, or none at all."""
        found = [self.load(trial_id) for trial_id in trial_ids]
        warnings = [damaged for _, damaged in found]
        states = [state for state, _ in found]
        while all(states) and len(epochs := {len(state["curve"]) for state in states if state}) > 1:
            states = [self.load(trial_id, min(epochs))[0] for trial_id in trial_ids]
        if all(states) or not any(state for state, _ in found):
            return states, warnings
        reason = "its checkpoint is of another epoch than those of its group: the trial begins anew"
        return begin_anew(reason, warnings)

    def newest(self) -> dict[str, int]:
        """Returns the last epoch with a checkpoint, by trial."""
        with suppress(OSError):
            names = sorted(name for name in self.storage.names("") if name.endswith(".pt"))
            split = (name.removesuffix(".pt").rpartition("@") for name in names)
            return {trial_id: int(epoch) for trial_id, _, epoch in split if epoch.isdigit()}
        return {}

    def remove(self, trial_id: str) -> None:
        """Removes all files of a trial. Raises OSError."""
        for name in self.storage.names(f"{trial_id}@"):
            self.storage.remove(name)

    def mark_late(self, trial_id: str, asked_at: float) -> None:
        """Tells the trial's next worker that the trial ran out of time. Raises OSError."""
        self.storage.save(f"{trial_id}@late", {"asked_at": asked_at})

    def is_late(self, trial_id: str, asked_at: float) -> bool:
        """Whether the trial that was asked for at `asked_at` ran out of time on a worker."""
        with suppress(OSError, ValueError):
            return bool(self.storage.load(f"{trial_id}@late").get("asked_at") == asked_at)
        return False

    def _checked(self, name: str) -> dict[str, Any]:
        state = self.storage.load(name)
        try:
            self.check(state)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{name}: not a trial's checkpoint ({type(error).__name__}: {error})") from error
        return state

    def _names(self, trial_id: str) -> list[str]:
        """The files of the trial's checkpoints, newest first."""
        with suppress(OSError):
            return sorted((n for n in self.storage.names(f"{trial_id}@") if n.endswith(".pt")), reverse=True)
        return []


def begin_anew(reason: str, warnings: Sequence[str]) -> tuple[list[dict[str, Any] | None], list[str]]:
    """What `Checkpoints.load_alike` returns when the states cannot be used: no states, and a warning for each trial."""
    return [None] * len(warnings), ["; ".join(filter(None, (warning, reason))) for warning in warnings]


def _name(trial_id: str, epoch: int) -> str:
    return f"{trial_id}@{epoch:06d}.pt"
