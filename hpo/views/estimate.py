"""How long a run will take, from what it has done so far. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from hpo.trials.asha import REDUCTION_FACTOR

_PRIOR_TRIALS = 5  # what ASHA should stop counts as much as so many trials that are over


@dataclass(frozen=True)
class Work:
    """What a run is to do. epochs: of a trial that nothing stops. rungs: where weak ones are stopped. networks: of the
    finals. budget_s: after which the search ends, and no finals follow."""

    trials: int
    epochs: int
    rungs: tuple[int, ...] = ()
    networks: int = 0
    budget_s: float = math.inf

    def search_epochs(self, over: int, over_epochs: int, running: Iterable[int]) -> float:
        """Epochs left of the search. over: how many trials are over; over_epochs: of all of these together. running:
        epochs so far of each that runs."""
        each = self._epochs_each(over, over_epochs)
        return max(0.0, (self.trials - over) * each - sum(min(epochs, each) for epochs in running))

    def eta_s(self, search_epochs: float, best_epoch: int, epoch_s: float, elapsed_s: float) -> float:
        """Seconds left. best_epoch: of the best trial, for which finals train. epoch_s: what an epoch took so far, all
        trials together. elapsed_s: of the session."""
        search_s, budget_s = search_epochs * epoch_s, self.budget_s - elapsed_s
        finals_s = self.networks * best_epoch * epoch_s
        return search_s + finals_s if search_s <= budget_s else max(0.0, budget_s)

    def _epochs_each(self, over: int, over_epochs: int) -> float:
        """Epochs of a trial that is still to come: the mean of those so far and of what would be if each rung let one
        in `REDUCTION_FACTOR` pass. The first trials pass more often: they have few to be compared with."""
        if not self.rungs:
            return self.epochs
        steps = zip((0, *self.rungs), (*self.rungs, self.epochs), strict=True)
        expected = sum((end - start) / REDUCTION_FACTOR**n for n, (start, end) in enumerate(steps))
        return float(over_epochs + _PRIOR_TRIALS * expected) / (over + _PRIOR_TRIALS)
