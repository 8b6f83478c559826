"""The marginal cost of one more trial that does no work: Podium against plain Ray Tune and plain Optuna.

Podium and Ray Tune run on one local Ray of two CPUs, two trials at a time, in turn. A side's cost is the slope between
a small and a large study, so that what a study costs once (starting workers, importing torch) is left out. Podium's
side is all of it: Optuna's SQLite storage, the journal, trials.csv, actor reuse. Plain Tune's is what its documentation
shows: a function trainable, OptunaSearch, default settings. Plain Optuna's is `optimize` with two threads, in memory,
and once more with its own SQLite storage, which is what it takes for a study to survive its process.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import ray

from hpo.search import tuning as search
from hpo.session.preflight.planning import preflight
from hpo.spec.study import StudySpec
from hpo.store.checkpoint_stores import FolderStorage
from hpo.store.checkpoints import Checkpoints
from hpo.store.run_folder import create
from hpo.system.interrupt import interruptible
from hpo.trials.messages import DONE, EPOCHS, REPORTS, REQUEST, VALUE
from hpo.views.estimate import Work
from hpo.views.progress import Progress
from hpo.worker.trial import Trial
from tests.benchmarks.table import Row, row
from tests.helpers.reports import report


class NoopTrial(Trial):
    """Reports one epoch that nobody trained."""

    def _begin(self, config: dict[str, Any]) -> None:
        (self.asked,) = config[REQUEST].trials
        self.run = None

    def step(self) -> dict[str, Any]:
        told = report("completed", (1, 0.5), trial_id=self.asked.trial_id)
        return {REPORTS: [told], VALUE: 0.5, EPOCHS: 1, DONE: True}


def podium(trials: int) -> float:
    """Seconds of a study of no-op trials."""
    settings = {"model": "mlp_small", "dataset": "digits", "train_size": 10, "sampler": "random", "concurrency": 2}
    with tempfile.TemporaryDirectory() as folder:
        plan = preflight(StudySpec.of(trials=trials, epochs=1, **settings))
        run = create(Path(folder), "noop", {"spec": {}})
        started = time.perf_counter()
        with interruptible() as interrupted:
            checkpoints = Checkpoints(FolderStorage(run.checkpoints))
            records = search.run_search(plan, run, checkpoints, [Progress(Work(trials, 1))], interrupted)
        spent = time.perf_counter() - started
        assert len(records) == trials
        run.unlock()
    return spent


def plain_tune(trials: int) -> float:
    """Seconds of the same in plain Ray Tune."""
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    def trainable(config: dict[str, Any]) -> None:
        tune.report({"accuracy": 0.5})

    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            trainable,
            param_space={"lr": tune.loguniform(1e-4, 1e-1)},
            tune_config=tune.TuneConfig(
                search_alg=OptunaSearch(metric="accuracy", mode="max"),
                num_samples=trials,
                max_concurrent_trials=2,
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        started = time.perf_counter()
        results = tuner.fit()
        spent = time.perf_counter() - started
        assert len(results) == trials and not results.errors
    return spent


def plain_optuna(trials: int, sqlite: bool) -> float:
    """Seconds of the same in plain Optuna."""
    import optuna

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("lr", 1e-4, 1e-1, log=True)
        return 0.5

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        storage = f"sqlite:///{folder}/study.db" if sqlite else None
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), storage=storage)
        started = time.perf_counter()
        study.optimize(objective, n_trials=trials, n_jobs=2)
        return time.perf_counter() - started


def slope(side: Callable[[int], float], small: int, large: int) -> float:
    """Seconds per additional trial."""
    few = side(small)
    return (side(large) - few) / (large - small)


def measure(repetitions: int, say: Callable[[str], None]) -> Iterator[Row]:
    sides: dict[str, tuple[Callable[[int], float], int, int]] = {
        "podium": (podium, 20, 220),
        "plain Ray Tune": (plain_tune, 2, 12),
        "plain Optuna, in memory": (partial(plain_optuna, sqlite=False), 20, 220),
        "plain Optuna, SQLite": (partial(plain_optuna, sqlite=True), 20, 220),
    }
    costs: dict[str, list[float]] = {side: [] for side in sides}
    trial = search.Trial
    search.Trial = NoopTrial  # type: ignore[misc]
    try:
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        podium(4)
        for _ in range(repetitions):
            for side, (run, small, large) in sides.items():
                costs[side].append(slope(run, small, large))
    finally:
        ray.shutdown()
        search.Trial = trial  # type: ignore[misc]
    for side, values in costs.items():
        say(f"{side}: {[round(value, 4) for value in values]} s per trial")
        yield row("overhead", "no-op trial", side, "seconds per trial", values)
    ratios = [theirs / ours for theirs, ours in zip(costs["plain Ray Tune"], costs["podium"], strict=True)]
    yield row("overhead", "no-op trial", "podium", "times less than plain Ray Tune", ratios)
