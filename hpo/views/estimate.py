"""How long a run will take, estimated from what it has done so far. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hpo.trials.asha import REDUCTION_FACTOR


@dataclass(frozen=True)
class Work:
    """What a run has to do."""

    trials: int
    epochs: int
    """Epochs of a trial that is not stopped early."""
    rungs: tuple[int, ...] = ()
    """Epochs after which one trial in `REDUCTION_FACTOR` goes on."""
    networks: int = 0
    """Networks that the finals train."""
    budget_s: float = math.inf
    """Seconds after which the search ends; no finals follow then."""

    def search_epochs(self, over: int, over_epochs: int, begun: Sequence[int]) -> float:
        """Estimates the epochs that the search still has to train.

        `over` trials have finished, after `over_epochs` epochs in all; `begun` has the epochs so far of each trial
        that runs or is paused.
        """
        if not self.rungs:
            return max(0.0, (self.trials - over) * self.epochs - sum(begun))
        left = self.trials * self._epochs_each() - over_epochs - sum(begun)
        return max(left, (self.trials - over - len(begun)) * self.rungs[0], 0.0)

    def eta_s(self, search_epochs: float, final_epochs: int, epoch_s: float, elapsed_s: float) -> float:
        """Estimates the seconds left.

        `search_epochs` are still to be trained by the search; the finals train `final_epochs` per network;
        `epoch_s` is the time per epoch so far, with all trials together; `elapsed_s` that of the session.
        """
        search_s, budget_s = search_epochs * epoch_s, self.budget_s - elapsed_s
        finals_s = self.networks * final_epochs * epoch_s
        return search_s + finals_s if search_s <= budget_s else max(0.0, budget_s)

    def _epochs_each(self) -> float:
        """Returns the mean epochs of a trial where each rung lets one in `REDUCTION_FACTOR` pass."""
        steps = zip((0, *self.rungs), (*self.rungs, self.epochs), strict=True)
        return math.fsum((end - start) / REDUCTION_FACTOR**n for n, (start, end) in enumerate(steps))
