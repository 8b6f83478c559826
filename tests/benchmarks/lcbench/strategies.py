"""The strategies that are compared: each is a sampler and a rule for early stopping.

To add a sampler, write an Optuna BaseSampler and add a line to `SAMPLERS`. To add a strategy, add a line to
`STRATEGIES`, or to `GUESSES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner
from optuna.samplers import BaseSampler
from ray.tune.schedulers import AsyncHyperBandScheduler

from hpo.search.samplers.choice import make_sampler
from tests.benchmarks.lcbench.guesses import with_guess
from tests.benchmarks.lcbench.learned import after_others
from tests.benchmarks.lcbench.podium import PodiumSearch
from tests.benchmarks.lcbench.samplers import OptunaSampler, RaySampler, Sampler, Space
from tests.benchmarks.lcbench.simulator import Curves, Job, Strategy, Verdict
from tests.benchmarks.lcbench.stopping import BestOfFirstEpoch, Promotion, PrunerStopping, Rule, TuneStopping
from tests.benchmarks.lcbench.surrogate import EPOCHS


class Search:
    """A strategy: a sampler draws the trials, a rule says how long each one is trained."""

    def __init__(self, sampler: Sampler, rule: Rule) -> None:
        self.sampler, self.rule = sampler, rule
        self.left = 0
        self.configs: list[Mapping[str, Any]] = []

    def extend(self, trials: int) -> None:
        self.left += trials
        self.rule.extend(trials)

    def next_job(self) -> Job | None:
        trial = self.rule.promote()
        if trial is None:
            if not self.left:
                return None
            self.left -= 1
            trial = len(self.configs)
            self.configs.append(self.sampler.ask(trial))
        return Job(trial, self.configs[trial])

    def report(self, trial: int, epoch: int, accuracy: float) -> Verdict:
        self.sampler.report(trial, epoch, accuracy)
        verdict = Verdict.COMPLETE if epoch == EPOCHS else self.rule.judge(trial, epoch, accuracy)
        if verdict is not Verdict.CONTINUE:
            self.sampler.end(trial, verdict)
        return verdict


Maker = Callable[[Space, int], Strategy]  # makes a strategy for a search space and a seed


def ray(grace_period: int, factor: float) -> Maker:
    """Ray's OptunaSearch and ASHA."""

    def make(space: Space, seed: int) -> Search:
        return Search(RaySampler(space, seed), TuneStopping(_tunes_asha(grace_period, factor)))

    return make


def pruned(make_pruner: Callable[[], BasePruner]) -> Maker:
    """Optuna's TPE with one of its pruners."""

    def make(space: Space, seed: int) -> Search:
        sampler = OptunaSampler(space, make_sampler("tpe", seed), seed, make_pruner())
        return Search(sampler, PrunerStopping(sampler))

    return make


def ruled(sampler: str, make_rule: Callable[[], Rule]) -> Maker:
    """One of `SAMPLERS` with a rule."""

    def make(space: Space, seed: int) -> Search:
        drawing = OptunaSampler(space, SAMPLERS[sampler](seed), seed, only_complete=sampler in ONLY_COMPLETE)
        return Search(drawing, make_rule())

    return make


def _stopping() -> Rule:
    """ASHA as Tune has it: it stops trials on the rungs 1, 3, 9 and 27, and none goes on later."""
    return TuneStopping(_tunes_asha(grace_period=1, factor=3))


def _tunes_asha(grace_period: int, factor: float) -> AsyncHyperBandScheduler:
    return AsyncHyperBandScheduler(
        time_attr="epochs",
        metric="value",
        mode="max",
        max_t=EPOCHS,
        grace_period=grace_period,
        reduction_factor=factor,
    )


def _promotions() -> dict[str, Maker]:
    """Every sampler with ASHA by promotion: SAMPLER-promotion-FIRST_RUNG-FACTOR."""
    return {
        f"{sampler}-promotion-{first}-{factor}": ruled(sampler, partial(Promotion, first, EPOCHS, factor))
        for sampler in SAMPLERS
        for first in (1, 3, 5)
        for factor in (3, 2)
    }


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "random": lambda seed: make_sampler("random", seed),
    "tpe": lambda seed: make_sampler("tpe", seed),
    "gp": lambda seed: make_sampler("gp", seed),
}
ONLY_COMPLETE = {"gp"}
"""Samplers that learn from complete trials only: they are told every trial as complete, with its last value."""

OTHER_SEEDS = 100

STRATEGIES: dict[str, Maker] = {
    "podium": PodiumSearch,
    # What chance does: a factor near this one's is no difference.
    "podium-again": lambda space, seed: PodiumSearch(space, seed + OTHER_SEEDS),
    "podium-tpe": partial(PodiumSearch, sampler="tpe"),
    "podium-random": partial(PodiumSearch, sampler="random"),
    "tpe-asha": ruled("tpe", _stopping),  # what Podium did before
    # The values of the example in Ray's documentation of ASHA, which trains for 100 epochs, and the default values.
    "ray-optuna-asha": ray(grace_period=10, factor=3),
    "ray-optuna-asha-defaults": ray(grace_period=1, factor=4),
    "optuna-median": pruned(MedianPruner),
    "optuna-hyperband": pruned(lambda: HyperbandPruner(min_resource=1, max_resource=EPOCHS)),
    "random-asha": ruled("random", _stopping),
    "one-epoch-top3": ruled("random", BestOfFirstEpoch),
    "tpe-one-epoch-top3": ruled("tpe", BestOfFirstEpoch),
    "tpe": ruled("tpe", Rule),
    "gp": ruled("gp", Rule),
    **_promotions(),
}
OF_TASKS: dict[str, Callable[[str, Space, int, Curves], Strategy]] = {
    "podium-learned": after_others,
    "podium-learned-wrong": partial(after_others, is_wrong=True),
    # Of 200 random configurations, so many are better than the one that the guess lies near.
    "podium-prior-right": partial(with_guess, quantile=0.0),
    "podium-prior-wrong": partial(with_guess, quantile=0.5),
    "podium-prior-worst": partial(with_guess, quantile=1.0),
}
"""Strategies that know more than the space: the task, and what is true of it."""
NAMES = (*STRATEGIES, *OF_TASKS)


def make_strategy(name: str, task: str, space: Space, seed: int, curve: Curves) -> Strategy:
    """Makes one of `NAMES`. curve: the task's curves."""
    return OF_TASKS[name](task, space, seed, curve) if name in OF_TASKS else STRATEGIES[name](space, seed)


REFERENCES = (
    "tpe-asha",
    "ray-optuna-asha",
    "ray-optuna-asha-defaults",
    "optuna-median",
    "optuna-hyperband",
    "random-asha",
    "one-epoch-top3",
)
"""Strategies that others are measured by."""
