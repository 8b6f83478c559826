"""Trials that ran out of a GPU's memory: once, they run again with more of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from hpo.search.asking import AskedTrial
from hpo.search.telling import Teller

Item = TypeVar("Item")
SHARE_GROWTH = 2  # so many times the memory for each trial of a group that ran out of it


class MemoryRetries:
    """Keeps the groups that are to run again, and their GPUs."""

    def __init__(self, teller: Teller) -> None:
        self.teller = teller
        self.waiting: list[tuple[list[AskedTrial], float]] = []

    def take_over(self, trials: Sequence[AskedTrial], gpus: float) -> list[AskedTrial]:
        """Takes those that ran out of memory on so many GPUs, where more is possible and they have not run again
        before; returns the others."""
        short = [asked for asked in trials if self.teller.is_short_of_memory(asked)]
        if any(self.teller.has_run_before(asked) for asked in short):
            return list(trials)
        groups = larger_shares(short, gpus)
        for group, share in groups:
            for asked in group:
                why = f"out of memory {_describe(len(short), gpus)}, run again {_describe(len(group), share)}"
                self.teller.runs_again(asked, why)
        self.waiting += groups
        return [asked for asked in trials if not groups or asked not in short]


def larger_shares(trials: Sequence[Item], gpus: float) -> list[tuple[list[Item], float]]:
    """Groups, and their GPUs, for trials that ran out of memory on `gpus`.

    Twice the share of a GPU, or on a whole one half as many trials; none where neither is possible.
    """
    if trials and 0 < gpus < 1:
        return [(list(trials), min(1.0, SHARE_GROWTH * gpus))]
    size = math.ceil(len(trials) / SHARE_GROWTH)
    parts = [list(trials[start : start + size]) for start in range(0, len(trials), size)] if len(trials) > 1 else []
    return [(part, gpus) for part in parts]


def _describe(trials: int, gpus: float) -> str:
    """ "on 0.5 GPUs", with how many trials there are where there are several."""
    return f"on {gpus:g} GPU{'s' if gpus != 1 else ''}" + (f" with {trials} trials" if trials > 1 else "")
