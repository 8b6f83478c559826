"""How long a run will take, estimated from what it has done so far. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from hpo.trials.asha import REDUCTION_FACTOR

_PRIOR_TRIALS = 5  # the expectation of ASHA's stopping weighs as much as this many finished trials


@dataclass(frozen=True)
class Work:
    """What a run has to do."""

    trials: int
    epochs: int
    """Epochs of a trial that is not stopped early."""
    rungs: tuple[int, ...] = ()
    """Epochs at which weak trials are stopped."""
    networks: int = 0
    """Networks that the finals train."""
    budget_s: float = math.inf
    """Seconds after which the search ends; no finals follow then."""

    def search_epochs(self, over: int, over_epochs: int, running: Iterable[int]) -> float:
        """Estimates the epochs that the search still has to train.

        `over` trials have finished, after `over_epochs` epochs in all; `running` has the epochs so far of each trial
        that runs.
        """
        each = self._epochs_each(over, over_epochs)
        return max(0.0, (self.trials - over) * each - sum(min(epochs, each) for epochs in running))

    def eta_s(self, search_epochs: float, best_epoch: int, epoch_s: float, elapsed_s: float) -> float:
        """Estimates the seconds left.

        `search_epochs` are still to be trained by the search; the finals train `best_epoch` epochs per network;
        `epoch_s` is the time per epoch so far, with all trials together; `elapsed_s` that of the session.
        """
        search_s, budget_s = search_epochs * epoch_s, self.budget_s - elapsed_s
        finals_s = self.networks * best_epoch * epoch_s
        return search_s + finals_s if search_s <= budget_s else max(0.0, budget_s)

    def _epochs_each(self, over: int, over_epochs: int) -> float:
        """Expected epochs of a trial that is still to come.

        The mean of the epochs so far and of what they would be if each rung let one trial in `REDUCTION_FACTOR` pass.
        The first trials pass more often, because they have few others to be compared with.
        """
        if not self.rungs:
            return self.epochs
        steps = zip((0, *self.rungs), (*self.rungs, self.epochs), strict=True)
        expected = sum((end - start) / REDUCTION_FACTOR**n for n, (start, end) in enumerate(steps))
        return float(over_epochs + _PRIOR_TRIALS * expected) / (over + _PRIOR_TRIALS)
