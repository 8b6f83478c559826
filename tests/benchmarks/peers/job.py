"""The job that all sides do, each as its own documentation shows, one side a process.

    python tests/benchmarks/peers/job.py podium|ray|optuna DATA_DIR SPLITS [--target ACCURACY --seed N] [--quick]

Sixteen given configurations of cnn, two epochs of 6,000 training images each, 5,000 validation images after every
epoch, nothing stopped early. With --target every side begins with the default configuration, samples for itself and
stops weak trials early, of at most 4 epochs, until one has reached that validation accuracy. Prints the best one.

Two trials at once, a thread each; all else is a side's default. All sides train and validate on the same images: SPLITS
tells the peers which Podium's are.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

ROOT = str(Path(__file__).resolve().parents[3])
sys.path[0] = ROOT

TRIALS, EPOCHS, TRAIN, VALIDATION, AT_ONCE = 16, 2, 6000, 5000, 2
MAX_EPOCHS = 4  # in the race to an accuracy
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


def podium(data: Path, splits: Path, target: float | None, seed: int) -> float:
    """What `python hpo/run.py --model cnn --trials 16 ...` runs; the given configurations are put into its queue."""
    from hpo.run import run_study
    from hpo.search import recorder
    from hpo.search import tuning as search
    from hpo.spec.study import StudySpec
    from trainers.cpu.native import kernels

    assert kernels() is not None, "no C++ compiler: this would measure something else"
    best = 0.0
    # The peers test nothing: without finals.
    settings: dict[str, Any] = {"trials": TRIALS, "epochs": EPOCHS, "scheduler": "none", "finalists": 0}
    if target is None:
        seed_sampler = search.seed_sampler

        def enqueue(study: Any, *arguments: Any) -> None:
            for config in configurations()[1:]:
                study.enqueue_trial(config)
            seed_sampler(study, *arguments)

        search.seed_sampler = enqueue
    else:
        settings = {"trials": 1000, "epochs": MAX_EPOCHS, "finalists": 0}
        reported = recorder.Recorder.reported

        def end_at_target(self: Any, request: Any, report: Any) -> None:
            nonlocal best
            reported(self, request, report)
            best = max(best, report.val_accuracy or 0.0)
            if best >= target:
                os.kill(os.getpid(), signal.SIGINT)  # as a user would: what is finished is ranked and written

        recorder.Recorder.reported = end_at_target  # type: ignore[method-assign]
    spec = StudySpec.of(
        model="cnn",
        set=["optimizer=adam", "weight_decay=1e-6"],
        train_size=TRAIN,
        dataset="mnist",
        data_dir=data,
        concurrency=AT_ONCE,
        quiet=True,
        seed=seed,
        results_dir=Path(tempfile.mkdtemp()),
        **settings,
    )
    result = run_study(spec)
    if target is not None:
        return best
    given = sorted((c["batch_size"], c["lr"]) for c in configurations())
    assert sorted(zip(result.frame["batch_size"], result.frame["lr"], strict=True)) == given
    return float(result.frame["val_accuracy"].max())


def ray(data: Path, splits: Path, target: float | None, seed: int) -> float:
    """Ray's "Getting started with Tune": a function trainable, OptunaSearch and ASHA."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    def trainable(config: dict[str, Any]) -> None:
        from tests.benchmarks.peers.torch_loop import setup, test, train

        model, optimizer, training, validation = setup(config.get("given", config), data, splits, (TRAIN, VALIDATION))
        for _ in range(EPOCHS if target is None else MAX_EPOCHS):
            train(model, training, optimizer)
            tune.report({"accuracy": test(model, validation)})

    class Reached(tune.Stopper):
        reached = False

        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            self.reached = self.reached or result["accuracy"] >= (target or 2)
            return self.reached

        def stop_all(self) -> bool:
            return self.reached

    space: dict[str, Any] = {"given": tune.grid_search(configurations())}
    how = tune.TuneConfig(metric="accuracy", mode="max", max_concurrent_trials=AT_ONCE)
    if target is not None:
        space = {
            "lr": tune.loguniform(1e-4, 1e-1),
            "dropout": tune.uniform(0.0, 0.6),
            "batch_size": tune.choice([32, 64, 128, 256]),
            "activation": tune.choice(list(ACTIVATIONS)),
        }
        how.num_samples, how.search_alg = 1000, OptunaSearch(seed=seed, points_to_evaluate=configurations()[:1])
        how.scheduler = ASHAScheduler(max_t=MAX_EPOCHS, grace_period=1, reduction_factor=3)
    os.environ["PYTHONPATH"] = ROOT  # for the workers
    ray.init(num_cpus=AT_ONCE, log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        run = tune.RunConfig(storage_path=folder, verbose=0, stop=Reached())
        results = tune.Tuner(trainable, param_space=space, tune_config=how, run_config=run).fit()
        best = results.get_best_result(scope="all")
    assert best.metrics is not None and (target is not None or len(results) == TRIALS)
    return float(best.metrics["accuracy"])


def optuna(data: Path, splits: Path, target: float | None, seed: int) -> float:
    """Optuna's PyTorch example: an objective with suggestions, reports and pruning, `n_jobs` threads."""
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
        for epoch in range(EPOCHS if target is None else MAX_EPOCHS):
            train(model, training, optimizer)
            accuracy = test(model, validation)
            trial.report(accuracy, epoch)
            if target is not None and accuracy >= target:
                reached.set()
                trial.study.stop()
            if reached.is_set():
                return accuracy
            if target is not None and trial.should_prune():
                raise optuna.TrialPruned
        return accuracy

    reached = threading.Event()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.SuccessiveHalvingPruner(reduction_factor=3)
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed), pruner=pruner if target else None
    )
    for config in configurations() if target is None else configurations()[:1]:
        study.enqueue_trial(config)
    study.optimize(objective, n_trials=TRIALS if target is None else 1000, n_jobs=AT_ONCE)
    return float(study.best_value)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=("podium", "ray", "optuna"))
    parser.add_argument("data", type=Path)
    parser.add_argument("splits", type=Path)
    parser.add_argument("--target", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a job of seconds, to see that it works")
    options = parser.parse_args()
    if options.quick:
        globals().update(TRIALS=2, EPOCHS=1, TRAIN=500)
    print(globals()[options.side](options.data.resolve(), options.splits, options.target, options.seed))


if __name__ == "__main__":
    main()
