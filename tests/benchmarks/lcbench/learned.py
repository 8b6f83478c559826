"""Podium's search after earlier searches on other tasks, as `--learn-from` has it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

import hpo.spec.spaces.search_space as spaces
from hpo.search.samplers.experience import Source, learn, sources
from hpo.trials.asha import rungs
from hpo.trials.records import TrialRecord, TrialState
from tests.benchmarks.lcbench.podium import PodiumSearch
from tests.benchmarks.lcbench.samplers import Space
from tests.benchmarks.lcbench.simulator import Curves, Simulator
from tests.benchmarks.lcbench.surrogate import EPOCHS, SPLITS, Surrogate, data_folder, space, tasks

EARLIER_RUNS, EARLIER_TRIALS = 4, 50
MODEL = "the network of LCBench"


def after_others(task: str, space: Space, seed: int, curve: Curves, *, is_wrong: bool = False) -> PodiumSearch:
    """A search after so many on other tasks for development. is_wrong: the worst of what those found is taken for the
    best."""
    others = [other for other in tasks(data_folder(), SPLITS[0]) if other != task]
    chosen = np.random.default_rng([int(task), seed]).choice(others, EARLIER_RUNS, replace=False)
    known = [_searched(str(other), seed) for other in chosen]
    if is_wrong:
        known = [replace(source, configs=source.configs[::-1]) for source in known]
    return PodiumSearch(space, seed, lessons=learn(known, MODEL, task, _with_middle(space), EARLIER_TRIALS))


@cache
def _searched(task: str, seed: int) -> Source:
    """What a search on a task found."""
    folder = data_folder()
    search = PodiumSearch(space(folder), seed)
    Simulator(search, Surrogate(folder, task).curve, workers=1).run(EARLIER_TRIALS)
    (source,) = sources([_record(search, task, number) for number in search.values], rungs(EPOCHS))
    return source


def _record(search: PodiumSearch, task: str, number: int) -> TrialRecord:
    values = search.values[number]
    return TrialRecord(
        trial_id=search.requests[number].trial_id,
        model=MODEL,
        dataset=task,
        state=TrialState.COMPLETED if len(values) == EPOCHS else TrialState.STOPPED,
        config=search.requests[number].params,
        seed=number,
        parameters=0,
        precision="float32",
        val_accuracy=max(values),
        epochs=len(values),
        curve=[{"epoch": epoch, "val_accuracy": value} for epoch, value in enumerate(values, start=1)],
    )


def _with_middle(space: Space) -> spaces.Space:
    """The space with the middle of each range as its recipe."""
    middles = {name: (entry.low + entry.high) / 2 for name, entry in space.items()}  # type: ignore[attr-defined]
    return spaces.Space(dict(space), middles)
