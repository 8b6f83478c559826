"""Search quality: what the searchers find on a table of real trials, against random search.

surrogate.csv holds the validation accuracies, epoch by epoch, of 400 random configurations of mlp_small, each trained 9
epochs on 4,000 images of MNIST. It is made in a few minutes by

    hpo run --model mlp_small --trials 400 --sampler random --scheduler none --epochs 9 --train-size 4000 --name table
    python tests/benchmarks/search.py results/table

A configuration's curve is the mean of its five nearest neighbours' there, weighted by closeness. Trials run one after
another, every searcher begins with the default configuration and meets the same ASHA.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from ray.tune.schedulers import AsyncHyperBandScheduler

from hpo.trials.ladder import Ladder
from hpo.trials.messages import REPORTS, REQUEST
from models.names import ACTIVATIONS
from tests.benchmarks.table import Row, row
from tests.helpers.reports import report
from tests.helpers.searching import make_searcher

TABLE = Path(__file__).with_name("surrogate.csv")
EPOCHS, TRIALS, NEIGHBOURS = 9, 50, 5
LANES = 16  # the most that --fuse auto takes of so many trials
RUNGS = (2, 6)
CONTINUOUS, CHOICES = ("lr", "dropout", "batch_size", "weight_decay"), ("activation", "optimizer")
# The space that the table's configurations were drawn from, and the configuration that every searcher begins with.
SPACE: dict[str, BaseDistribution] = {
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "dropout": FloatDistribution(0.0, 0.6),
    "batch_size": CategoricalDistribution((32, 64, 128, 256)),
    "activation": CategoricalDistribution(ACTIVATIONS),
    "optimizer": CategoricalDistribution(("adam", "adamw", "sgd")),
    "weight_decay": FloatDistribution(1e-6, 1e-2, log=True),
}
DEFAULT = {
    "lr": 1e-3,
    "dropout": 0.0,
    "batch_size": 64,
    "activation": "relu",
    "optimizer": "adam",
    "weight_decay": 1e-6,
}


class Surrogate:
    """Validation accuracies by epoch of any configuration."""

    def __init__(self) -> None:
        self.table = pd.read_csv(TABLE)
        self.points = np.stack([self._point(entry) for entry in self.table.to_dict("records")])
        self.curves = self.table[[f"epoch_{epoch}" for epoch in range(1, EPOCHS + 1)]].to_numpy()

    def curve(self, config: dict[str, Any]) -> list[float]:
        distance = np.linalg.norm(self.points - self._point(config), axis=1)
        near = np.argsort(distance, kind="stable")[:NEIGHBOURS]
        weights = 1 / (distance[near] + 1e-3)
        return list(np.average(self.curves[near], axis=0, weights=weights))

    def _point(self, config: dict[str, Any]) -> np.ndarray:
        """Each hyperparameter from 0 to 1; another activation or optimizer lies half of that away."""
        numbers = [
            (math.log10(config["lr"]) + 4) / 3,
            config["dropout"] / 0.6,
            math.log2(config["batch_size"] / 32) / 3,
            (math.log10(config["weight_decay"]) + 6) / 4,
        ]
        words = [0.35 * (config[key] == value) for key in CHOICES for value in sorted(self.table[key].unique())]
        return np.array([*numbers, *words])


class Podium:
    """Podium's own searcher, which also says who pauses and who goes on."""

    def __init__(self, sampler: str, seed: int, **options: Any) -> None:
        """options: of `make_searcher`."""
        import optuna

        from hpo.search.samplers.choice import seed_sampler

        self.study = optuna.create_study(study_name="mlp_small", direction="maximize")
        self.study.enqueue_trial(DEFAULT)
        seed_sampler(self.study, sampler, seed)
        self.searcher = make_searcher(self.study, SPACE, TRIALS, **options)


class RayOptuna:
    """Ray's OptunaSearch, as its documentation makes it; Tune tells it a stopped trial as a complete one."""

    def __init__(self, seed: int) -> None:
        from ray.tune.search.optuna import OptunaSearch

        self.search = OptunaSearch(dict(SPACE), metric="accuracy", mode="max", seed=seed, points_to_evaluate=[DEFAULT])

    def ask(self, name: str) -> dict[str, Any]:
        config: dict[str, Any] = self.search.suggest(name)
        return config

    def report(self, name: str, epoch: int, value: float) -> None:
        self.search.on_trial_result(name, {"accuracy": value, "training_iteration": epoch})

    def end(self, name: str, epoch: int, value: float, ended: bool) -> None:
        self.search.on_trial_complete(name, {"accuracy": value, "training_iteration": epoch})


def study(side: RayOptuna, surrogate: Surrogate, asha: bool) -> tuple[float, int]:
    """The best accuracy that a study of `TRIALS` trials saw under Tune's ASHA, and how many epochs it trained."""
    (bracket,) = AsyncHyperBandScheduler(max_t=EPOCHS, grace_period=1, reduction_factor=3)._brackets
    best, epochs = 0.0, 0
    for number in range(TRIALS):
        name = f"t{number}"
        curve = surrogate.curve(side.ask(name))
        for epoch, value in enumerate(curve, 1):
            best, epochs = max(best, value), epochs + 1
            trial: Any = SimpleNamespace(trial_id=name)
            stopped = asha and epoch in RUNGS and bracket.on_result(trial, epoch, value) == "STOP"
            if stopped or epoch == EPOCHS:
                side.end(name, epoch, value, stopped)
                break
            side.report(name, epoch, value)
    return best, epochs


def podium_study(sampler: str, seed: int, surrogate: Surrogate, asha: bool) -> tuple[float, int]:
    """The same of Podium, whose trials pause on the rungs."""
    searcher = Podium(sampler, seed, ladder=Ladder(RUNGS if asha else ())).searcher
    trained: dict[str, int] = {}
    best, number = 0.0, 0
    while isinstance(handed_out := searcher.suggest(f"t{number}"), dict):
        (request,) = handed_out[REQUEST].trials
        curve = surrogate.curve(dict(request.params))
        for epoch in range(trained.get(request.trial_id, 0) + 1, EPOCHS + 1):
            state = "completed" if epoch == EPOCHS else "paused" if epoch in request.pauses_at else "running"
            seen = max(curve[:epoch])
            said = report(state, (epoch, curve[epoch - 1]), best=seen, epochs=epoch, trial_id=request.trial_id)
            best, trained[request.trial_id] = max(best, seen), epoch
            tell = searcher.on_trial_result if state == "running" else searcher.on_trial_complete
            tell(f"t{number}", {REPORTS: [said]})
            if state != "running":
                break
        number += 1
    assert searcher.fault is None
    return best, sum(trained.values())


def fused_study(seed: int, surrogate: Surrogate, asha: bool) -> tuple[float, int]:
    """The same of Podium with `LANES` trials at a time, which share a shape."""
    from hpo.trials.asha import survivors

    searcher = Podium("auto", seed, size=LANES, rungs=RUNGS if asha else ()).searcher
    best, epochs, number = 0.0, 0, 0
    while isinstance(handed_out := searcher.suggest(f"t{number}"), dict):
        group = handed_out[REQUEST]
        curves = [surrogate.curve(dict(request.params)) for request in group.trials]
        left = list(range(len(curves)))
        reports: list[Any] = [None for _ in curves]
        for epoch in range(1, EPOCHS + 1):
            kept = left
            if epoch in searcher.rungs:
                places = survivors([curves[lane][epoch - 1] for lane in left], group.known[epoch])
                kept = [left[place] for place in places]
            for lane in left:
                value, seen = curves[lane][epoch - 1], max(curves[lane][:epoch])
                state = "stopped" if lane not in kept else "completed" if epoch == EPOCHS else "running"
                name = group.trials[lane].trial_id
                reports[lane] = report(state, (epoch, value), best=seen, epochs=epoch, trial_id=name)
                best, epochs = max(best, value), epochs + 1
            left = kept
            over = not left or epoch == EPOCHS
            tell = searcher.on_trial_complete if over else searcher.on_trial_result
            tell(f"t{number}", {REPORTS: list(reports)})
            if over:
                break
        number += 1
    assert searcher.fault is None
    return best, epochs


def measure(seeds: int, say: Callable[[str], None]) -> Iterator[Row]:
    from hpo.store.database.study_db import quiet_optuna

    surrogate = Surrogate()
    sides: dict[str, Callable[[int, bool], tuple[float, int]]] = {
        "random": lambda seed, asha: podium_study("random", seed, surrogate, asha),
        "podium": lambda seed, asha: podium_study("auto", seed, surrogate, asha),
        f"podium, {LANES} fused": lambda seed, asha: fused_study(seed, surrogate, asha),
        "OptunaSearch": lambda seed, asha: study(RayOptuna(seed), surrogate, asha),
    }
    with quiet_optuna():
        for asha in (False, True):
            case = f"{TRIALS} trials, {'ASHA' if asha else 'no early stopping'}"
            best: dict[str, list[float]] = {}
            for name, run in sides.items():
                results = [run(seed, asha) for seed in range(seeds)]
                best[name] = [value for value, _ in results]
                say(f"{case}: {name} median {np.median(best[name]):.4f}")
                yield row("search", case, name, "best validation accuracy", best[name])
                yield row("search", case, name, "epochs trained", [epochs for _, epochs in results])
            gains = [one - other for one, other in zip(best["podium"], best["OptunaSearch"], strict=True)]
            yield row("search", case, "podium", "accuracy over OptunaSearch", gains)


def tabulate(run: Path) -> pd.DataFrame:
    """surrogate.csv of the trials in a run's folder; those that diverged have an accuracy of 0.1 from then on."""
    trials, curves = pd.read_csv(run / "trials.csv"), pd.read_csv(run / "curves.csv")
    trials = trials.set_index("trial_id")
    accuracies = curves.pivot(index="trial_id", columns="epoch", values="val_accuracy").add_prefix("epoch_")
    names = [*CONTINUOUS, *CHOICES]
    return trials[names].join(accuracies).fillna(0.1).sort_index().reset_index(drop=True)


if __name__ == "__main__":
    tabulate(Path(sys.argv[1])).to_csv(TABLE, index=False, float_format="%.5g")
