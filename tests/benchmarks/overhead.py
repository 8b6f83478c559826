"""The marginal cost of one more trial that does no work: Podium's engine against plain Ray Tune.

    python tests/benchmarks/overhead.py [--repeats 3]

Both sides run no-op trials on one local Ray of two CPUs, two at a time, in turn. A side's cost is the slope
between a small and a large study, so that what a study costs once (starting workers, importing torch) is
left out. Podium's side is all of it: Optuna's SQLite storage, the journal, trials.csv, actor reuse. Plain
Tune's side is what its documentation shows: a function trainable, OptunaSearch, default settings.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from cluster.connect import connect
from hpo import search
from hpo.checkpoints import Checkpoints, Folder
from hpo.folder import create
from hpo.interrupt import interruptible
from hpo.preflight import preflight
from hpo.progress import Progress
from hpo.study import StudySpec
from hpo.trial import Trial


class NoopTrial(Trial):
    """Reports one epoch that nobody trained."""

    def _begin(self, config: dict[str, Any]) -> None:
        (self.lane,) = config["lanes"]
        self.run = None

    def step(self) -> dict[str, Any]:
        row = {"state": "completed", "value": 0.5, "values": [(1, 0.5)], "epochs": 1, "val_accuracy": 0.5, "curve": []}
        return {"lanes": [{"trial_id": self.lane["trial_id"], **row}], "value": 0.5, "epochs": 1, "done": True}


def podium(trials: int) -> float:
    """Seconds of a study of no-op trials."""
    settings = {"model": "mlp_small", "dataset": "digits", "train_size": 10, "sampler": "random", "concurrency": 2}
    with tempfile.TemporaryDirectory() as folder:
        plan = preflight(StudySpec.of(trials=trials, epochs=1, **settings))
        run = create(Path(folder), "noop", {})
        started = time.perf_counter()
        with interruptible() as interrupted:
            checkpoints = Checkpoints(Folder(run.checkpoints))
            records = search.run_search(plan, run, checkpoints, Progress(trials, 1, []), interrupted)
        spent = time.perf_counter() - started
        assert len(records) == trials
        run.unlock()
    return spent


def plain_tune(trials: int) -> float:
    """Seconds of the same in plain Ray Tune."""
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    def trainable(config: dict[str, Any]) -> None:
        import torch  # noqa: F401 - every real trial needs it, and plain Tune starts a process for each

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


def slope(side: Any, small: int, large: int) -> float:
    """Seconds per additional trial."""
    few = side(small)
    return (side(large) - few) / (large - small)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    search.Trial = NoopTrial  # type: ignore[misc]
    costs: dict[str, list[float]] = {"podium": [], "plain tune": []}
    with connect(None, cpus=2):
        podium(4)
        for _ in range(repeats):
            costs["podium"].append(slope(podium, 20, 220))
            costs["plain tune"].append(slope(plain_tune, 2, 12))
    for side, values in costs.items():
        spread = f"{min(values):.3f} to {max(values):.3f}"
        print(f"{side}: median {statistics.median(values):.3f} s per trial ({spread}, {repeats} repeats)")


if __name__ == "__main__":
    main()
