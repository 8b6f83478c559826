"""The job that all sides do, each as its own documentation shows, one side a process.

    python tests/benchmarks/peers/job.py podium|ray|optuna DATA_DIR SPLITS [--quick]

Sixteen given configurations of cnn, two epochs of 6,000 training images each, 5,000 validation images after every
epoch, nothing stopped early. Prints the best accuracy.

Two trials at once, a thread each; all else is a side's default. All sides train and validate on the same images: SPLITS
tells the peers which Podium's are.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = str(Path(__file__).resolve().parents[3])
sys.path[0] = ROOT

TRIALS, EPOCHS, TRAIN, VALIDATION, AT_ONCE = 16, 2, 6000, 5000, 2
ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "silu", "tanh")


def configurations() -> list[dict[str, Any]]:
    """Podium's first trial, which is always the architecture's default, and others."""
    draw = random.Random(0)
    first = {"lr": 1e-3, "dropout": 0.0, "batch_size": 64, "activation": "relu"}
    others = [
        {
            "lr": 10 ** draw.uniform(-3.5, -2.3),
            "dropout": draw.uniform(0.0, 0.4),
            "batch_size": draw.choice((32, 64, 128)),
            "activation": draw.choice(ACTIVATIONS),
        }
        for _ in range(TRIALS - 1)
    ]
    return [first, *others]


def podium(data: Path, splits: Path) -> float:
    """What `python hpo/run.py --model cnn --trials 16 ...` runs; the given configurations are put into its queue."""
    from hpo.run import run_study
    from hpo.search import tuning as search
    from hpo.spec.study import StudySpec
    from trainers.cpu.native import kernels

    assert kernels() is not None, "no C++ compiler: this would measure something else"
    seed_sampler = search.seed_sampler

    def enqueue(study: Any, *arguments: Any) -> None:
        for config in configurations()[1:]:
            study.enqueue_trial(config)
        seed_sampler(study, *arguments)

    search.seed_sampler = enqueue
    spec = StudySpec.of(
        model="cnn",
        trials=TRIALS,
        epochs=EPOCHS,
        scheduler="none",
        finalists=0,  # the peers test nothing
        set=["optimizer=adam", "weight_decay=1e-6"],
        train_size=TRAIN,
        dataset="mnist",
        data_dir=data,
        concurrency=AT_ONCE,
        quiet=True,
        results_dir=Path(tempfile.mkdtemp()),
    )
    result = run_study(spec)
    given = sorted((c["batch_size"], c["lr"]) for c in configurations())
    assert sorted(zip(result.frame["batch_size"], result.frame["lr"], strict=True)) == given
    return float(result.frame["val_accuracy"].max())


def ray(data: Path, splits: Path) -> float:
    """Ray's "Getting started with Tune": a function trainable."""
    import ray
    from ray import tune

    def trainable(config: dict[str, Any]) -> None:
        from tests.benchmarks.peers.torch_loop import setup, test, train

        model, optimizer, training, validation = setup(config["given"], data, splits, (TRAIN, VALIDATION))
        for _ in range(EPOCHS):
            train(model, training, optimizer)
            tune.report({"accuracy": test(model, validation)})

    space: dict[str, Any] = {"given": tune.grid_search(configurations())}
    how = tune.TuneConfig(metric="accuracy", mode="max", max_concurrent_trials=AT_ONCE)
    os.environ["PYTHONPATH"] = ROOT  # for the workers
    ray.init(num_cpus=AT_ONCE, log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        run = tune.RunConfig(storage_path=folder, verbose=0)
        results = tune.Tuner(trainable, param_space=space, tune_config=how, run_config=run).fit()
        best = results.get_best_result(scope="all")
    assert best.metrics is not None and len(results) == TRIALS
    return float(best.metrics["accuracy"])


def optuna(data: Path, splits: Path) -> float:
    """Optuna's PyTorch example: an objective with suggestions and reports, `n_jobs` threads."""
    import optuna
    import torch

    from tests.benchmarks.peers.torch_loop import setup, test, train

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
            train(model, training, optimizer)
            accuracy = test(model, validation)
            trial.report(accuracy, epoch)
        return accuracy

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for config in configurations():
        study.enqueue_trial(config)
    study.optimize(objective, n_trials=TRIALS, n_jobs=AT_ONCE)
    return float(study.best_value)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=("podium", "ray", "optuna"))
    parser.add_argument("data", type=Path)
    parser.add_argument("splits", type=Path)
    parser.add_argument("--quick", action="store_true", help="a job of seconds, to see that it works")
    options = parser.parse_args()
    if options.quick:
        globals().update(TRIALS=2, EPOCHS=1, TRAIN=500)
    print(globals()[options.side](options.data.resolve(), options.splits))


if __name__ == "__main__":
    main()
