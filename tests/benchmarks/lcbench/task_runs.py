"""All searches of one task."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
import torch

from tests.benchmarks.lcbench.measures import goal
from tests.benchmarks.lcbench.runs import Run
from tests.benchmarks.lcbench.samplers import Space
from tests.benchmarks.lcbench.simulator import Curves, History, Simulator
from tests.benchmarks.lcbench.strategies import make_strategy


@dataclass(frozen=True)
class Settings:
    """What is compared, on each task alike."""

    strategies: Sequence[str]
    seeds: int
    workers: int
    trials: int
    """Of a round."""
    rounds: int
    """How many a search has at most: after its first, it goes on only until it is as good as all references."""
    references: Sequence[str]
    """Strategies that the others are measured by."""


class TaskRuns:
    """Runs the searches of one task that are not known yet."""

    def __init__(
        self,
        settings: Settings,
        task: str,
        space: Space,
        curve: Curves,
        known: Sequence[Run] = (),
    ) -> None:
        self.settings, self.task, self.space, self.curve = settings, task, space, curve
        self.known = {run.key: run for run in known}
        self._simulators: dict[tuple[str, int], Simulator] = {}

    def new(self) -> list[Run]:
        """The searches that were run. The references come first, since the others go on until they are as good."""
        _be_quiet()
        strategies, seeds = self.settings.strategies, range(self.settings.seeds)
        references = [name for name in strategies if name in self.settings.references]
        goals = [goal([self._run(name, seed) for seed in seeds]) for name in references]
        runs = [self._run(name, seed, max(goals, default=0.0)) for name in strategies for seed in seeds]
        return [run for run in runs if run is not self.known.get(run.key)]

    def _run(self, name: str, seed: int, accuracy: float = 0.0) -> Run:
        """One round of a search, and further ones until it has an accuracy."""
        known, rounds = self.known.get((self.task, name, seed)), self.settings.rounds
        if known and (known.rounds[-1] >= rounds or known.accuracy[-1] >= accuracy):
            return known

        def is_enough(history: History) -> bool:
            return bool(history.ends) and history.best[-1] >= accuracy

        simulator = self._simulator(name, seed)
        while len(simulator.history.ends) < rounds and not is_enough(simulator.history):
            simulator.run(self.settings.trials, is_enough)
        return Run.of(self.task, name, seed, simulator.history)

    def _simulator(self, name: str, seed: int) -> Simulator:
        if (name, seed) not in self._simulators:
            strategy = make_strategy(name, self.task, self.space, seed, self.curve)
            self._simulators[name, seed] = Simulator(strategy, self.curve, self.settings.workers)
        return self._simulators[name, seed]


def _be_quiet() -> None:
    optuna.logging.set_verbosity(logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    torch.set_num_threads(1)  # of Optuna's GP
