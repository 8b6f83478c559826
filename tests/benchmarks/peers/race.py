"""A search of one side that ends after so many seconds, each side as its own documentation shows.

    python tests/benchmarks/peers/race.py podium|ray|optuna DATA_DIR SPLITS --seconds S --seed N [--quick]

Cnn on 10,000 training and 5,000 validation images, at most 9 epochs a trial, two trials at once with a thread each.
Every side samples for itself and stops weak trials early: Ray Tune with OptunaSearch and ASHAScheduler, Optuna with TPE
and its SuccessiveHalvingPruner. The peers train as PyTorch's examples do, and search what their own examples search.

Prints one line of JSON. curve: [seconds since the process began, best validation accuracy so far], a pair for each time
that it became better. config: the best trial's hyperparameters.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

BEGAN = time.time()
ROOT = str(Path(__file__).resolve().parents[3])
sys.path[0] = ROOT

EPOCHS, TRAIN, VALIDATION, AT_ONCE = 9, 10_000, 5000, 2
MAX_TRIALS = 10_000
ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "silu", "tanh")


class Curve:
    """What was found, and when."""

    def __init__(self) -> None:
        self.points: list[tuple[float, float]] = []
        self.config: dict[str, Any] = {}
        self._lock = threading.Lock()

    def saw(self, accuracy: float, config: dict[str, Any], at: float | None = None) -> None:
        """A trial has this accuracy after an epoch, at a time in seconds since 1970, or now."""
        with self._lock:
            if not self.points or accuracy > self.points[-1][1]:
                self.points.append((round((at or time.time()) - BEGAN, 2), accuracy))
                self.config = config


def podium(data: Path, splits: Path, until: float, seed: int) -> Curve:
    """What `python hpo/run.py --model cnn --train-size 10000 --epochs 9` runs, ended as by Ctrl-C."""
    from hpo.run import run_study
    from hpo.search import recorder
    from hpo.spec.study import StudySpec

    curve, reported = Curve(), recorder.Recorder.reported

    def noted(self: Any, request: Any, report: Any) -> None:
        reported(self, request, report)
        curve.saw(report.val_accuracy or 0.0, dict(request.params))

    recorder.Recorder.reported = noted  # type: ignore[method-assign]
    spec = StudySpec.of(
        model="cnn",
        train_size=TRAIN,
        dataset="mnist",
        data_dir=data,
        concurrency=AT_ONCE,
        trials=MAX_TRIALS,
        epochs=EPOCHS,
        finalists=0,
        quiet=True,
        seed=seed,
        results_dir=Path(tempfile.mkdtemp()),
    )
    timer = threading.Timer(until - time.time(), os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    run_study(spec)
    return curve


def ray(data: Path, splits: Path, until: float, seed: int) -> Curve:
    """Ray's "Getting started with Tune": a function trainable, OptunaSearch and ASHA."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    epochs, sizes = EPOCHS, (TRAIN, VALIDATION)

    def trainable(config: dict[str, Any]) -> None:
        from tests.benchmarks.peers.torch_loop import setup, test, train

        model, optimizer, training, validation = setup(config, data, splits, sizes)
        for _ in range(epochs):
            train(model, training, optimizer)
            tune.report({"accuracy": test(model, validation), "at": time.time()})

    space = {
        "lr": tune.loguniform(1e-4, 1e-1),
        "dropout": tune.uniform(0.0, 0.6),
        "batch_size": tune.choice([32, 64, 128, 256]),
        "activation": tune.choice(list(ACTIVATIONS)),
    }
    how = tune.TuneConfig(
        metric="accuracy",
        mode="max",
        num_samples=MAX_TRIALS,
        search_alg=OptunaSearch(seed=seed),
        scheduler=ASHAScheduler(max_t=EPOCHS, grace_period=1, reduction_factor=3),
        max_concurrent_trials=AT_ONCE,
        time_budget_s=until - time.time(),
    )
    os.environ["PYTHONPATH"] = ROOT  # for the workers
    ray.init(num_cpus=AT_ONCE, log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        run = tune.RunConfig(storage_path=folder, verbose=0)
        results = tune.Tuner(trainable, param_space=space, tune_config=how, run_config=run).fit()
        seen = [
            (epoch.at, epoch.accuracy, dict(result.config))
            for result in results
            if result.metrics_dataframe is not None
            for epoch in result.metrics_dataframe.itertuples()
        ]
    curve = Curve()
    for at, accuracy, config in sorted(seen, key=itemgetter(0)):
        curve.saw(accuracy, config, at)
    return curve


def optuna(data: Path, splits: Path, until: float, seed: int) -> Curve:
    """Optuna's PyTorch example: an objective with suggestions, reports and pruning, `n_jobs` threads."""
    import optuna
    import torch

    from tests.benchmarks.peers.torch_loop import setup, test, train

    curve = Curve()

    def objective(trial: optuna.Trial) -> float:
        config = {
            "lr": trial.suggest_float("lr", 1e-4, 1e-1, log=True),
            "dropout": trial.suggest_float("dropout", 0.0, 0.6),
            "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128, 256]),
            "activation": trial.suggest_categorical("activation", ACTIVATIONS),
        }
        torch.set_num_threads(1)
        model, optimizer, training, validation = setup(config, data, splits, (TRAIN, VALIDATION))
        accuracy = 0.0
        for epoch in range(EPOCHS):
            if time.time() >= until:
                break
            train(model, training, optimizer)
            accuracy = test(model, validation)
            curve.saw(accuracy, config)
            trial.report(accuracy, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return accuracy

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.SuccessiveHalvingPruner(reduction_factor=3),
    )
    study.optimize(objective, n_jobs=AT_ONCE, timeout=until - time.time())
    return curve


SIDES: dict[str, Callable[[Path, Path, float, int], Curve]] = {"podium": podium, "ray": ray, "optuna": optuna}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("data", type=Path)
    parser.add_argument("splits", type=Path)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="few images and epochs, to see that it works")
    options = parser.parse_args()
    if options.quick:
        globals().update(EPOCHS=2, TRAIN=500)
    curve = SIDES[options.side](options.data.resolve(), options.splits, BEGAN + options.seconds, options.seed)
    points = [point for point in curve.points if point[0] <= options.seconds]
    print(json.dumps({"curve": points, "config": curve.config}))


if __name__ == "__main__":
    main()
