"""Who goes on after an epoch, who stops, who waits for the others, and who of these goes on later."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from tests.benchmarks.lcbench.samplers import OptunaSampler
from tests.benchmarks.lcbench.simulator import Verdict


class Rule:
    """Trains every trial to its end. Others override what they do otherwise."""

    def extend(self, trials: int) -> None:
        """The search may begin so many more trials."""

    def judge(self, trial: int, epoch: int, accuracy: float) -> Verdict:
        """Says what happens to a trial after an epoch which is not its last."""
        return Verdict.CONTINUE

    def promote(self) -> int | None:
        """Says which paused trial goes on now."""
        return None


class TuneStopping(Rule):
    """A scheduler of Tune's that stops trials."""

    def __init__(self, scheduler: AsyncHyperBandScheduler) -> None:
        """scheduler: with the time attribute `epochs` and the metric `value`."""
        self.scheduler: Any = scheduler

    def judge(self, trial: int, epoch: int, accuracy: float) -> Verdict:
        handle = SimpleNamespace(trial_id=str(trial))
        if epoch == 1:
            self.scheduler.on_trial_add(None, handle)
        action = self.scheduler.on_trial_result(None, handle, {"epochs": epoch, "value": accuracy})
        return Verdict.STOP if action == TrialScheduler.STOP else Verdict.CONTINUE


class PrunerStopping(Rule):
    """A pruner of Optuna's."""

    def __init__(self, sampler: OptunaSampler) -> None:
        """sampler: whose study has the pruner."""
        self.sampler = sampler

    def judge(self, trial: int, epoch: int, accuracy: float) -> Verdict:
        return Verdict.STOP if self.sampler.trials[trial].should_prune() else Verdict.CONTINUE


class Promotion(Rule):
    """ASHA as published (Li et al., 2020): a trial pauses on each rung, and goes on when it is in the best third."""

    def __init__(self, first: int, epochs: int, factor: int = 3) -> None:
        """first: the epoch of the first rung."""
        self.factor = factor
        self.rungs: dict[int, dict[int, float]] = {}
        while first < epochs:
            self.rungs[first] = {}
            first *= factor
        self.promoted: dict[int, set[int]] = {rung: set() for rung in self.rungs}

    def judge(self, trial: int, epoch: int, accuracy: float) -> Verdict:
        if epoch not in self.rungs:
            return Verdict.CONTINUE
        self.rungs[epoch][trial] = accuracy
        return Verdict.PAUSE

    def promote(self) -> int | None:
        for rung in reversed(self.rungs):
            values = self.rungs[rung]
            best = sorted(values, key=lambda trial: -values[trial])[: len(values) // self.factor]
            for trial in best:
                if trial not in self.promoted[rung]:
                    self.promoted[rung].add(trial)
                    return trial
        return None


class BestOfFirstEpoch(Rule):
    """One epoch for all, and the best three to the end (Egele et al., 2023, arXiv 2307.15422).

    A search that is extended trains the best three of those that were not trained to the end yet.
    """

    def __init__(self, kept: int = 3) -> None:
        self.kept, self.trials, self.seen = kept, 0, 0
        self.values: dict[int, float] = {}
        self.waiting: list[int] = []

    def extend(self, trials: int) -> None:
        self.trials += trials

    def judge(self, trial: int, epoch: int, accuracy: float) -> Verdict:
        if epoch > 1:
            return Verdict.CONTINUE
        self.values[trial] = accuracy
        self.seen += 1
        if self.seen == self.trials:
            self.waiting = sorted(self.values, key=lambda trial: -self.values[trial])[: self.kept]
            for chosen in self.waiting:
                del self.values[chosen]
        return Verdict.PAUSE

    def promote(self) -> int | None:
        return self.waiting.pop(0) if self.waiting else None
