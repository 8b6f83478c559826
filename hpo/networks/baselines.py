"""Measures the reproduced systems: trains every recipe with several seeds, and compares with the published results.

Each run is a line of an append-only journal. The tables are made from it, so that no number is typed by hand.
"""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.networks.recipes import RECIPES, Recipe
from hpo.networks.training import TrainingSetup, train_model
from hpo.store.journal import read_journal
from hpo.views import formats
from models import build_model, trainable_parameters
from trainers.config import TrainConfig
from trainers.data.dataset import Dataset, load_dataset
from trainers.loop import evaluate

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class BaselineRun:
    """One recipe, trained with one seed."""

    recipe: Recipe
    seed: int
    epochs: int
    """Epochs to train, at most the recipe's."""
    precision: str
    device: str
    dataset: str
    data_dir: Path

    @property
    def train(self) -> TrainConfig:
        return replace(
            self.recipe.train, seed=self.seed, epochs=self.epochs, precision=self.precision, device=self.device
        )


def train_baseline(run: BaselineRun) -> dict[str, Any]:
    """Trains the recipe's model on the training split, and tests the weights of the epoch with the best validation
    accuracy, once. Returns the row for the journal."""

    recipe = run.recipe
    dataset = _dataset(run.dataset, run.data_dir, recipe.mean, recipe.std)
    fitted = train_model(TrainingSetup(model=recipe.model, train=run.train, arch=recipe.arch), dataset)
    model = build_model(recipe.model, dataset.input_shape, len(dataset.classes), **recipe.arch)
    row = {
        "system": recipe.system,
        "model": recipe.model,
        "seed": run.seed,
        "epochs": run.epochs,
        "dataset": dataset.name,
        "precision": run.precision,
        "device": _device_name(run.device),
        "parameters": trainable_parameters(model),
        "minutes": sum(result.train_s + result.eval_s for result in fitted.curve) / 60,
    }
    if fitted.diverged or fitted.best is None:
        return {**row, "error": f"diverged in epoch {len(fitted.curve)}"}
    model.load_state_dict(fitted.best_weights)
    test_loss, test_accuracy = evaluate(model.to(run.device), dataset.test.open().to(run.device), run.precision)
    measured = fitted.measured()
    best = {name: measured[name] for name in _OF_BEST_EPOCH}
    return {**row, **best, "test_loss": test_loss, "test_accuracy": test_accuracy}


_OF_BEST_EPOCH = ("best_epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")


@lru_cache(maxsize=1)
def _dataset(name: str, data_dir: Path, mean: float | None, std: float | None) -> Dataset:
    return load_dataset(name, data_dir, mean=mean, std=std)


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name()
    return f"{device}, {platform.machine()}, 1 thread" if device == "cpu" else device


def missing(runs: Iterable[BaselineRun], journal: Path) -> list[BaselineRun]:
    """The runs that are not in the journal, with at least as many epochs."""
    done: dict[tuple[Any, ...], int] = {}
    for row in read_journal(journal):
        done[_key(row)] = max(row["epochs"], done.get(_key(row), 0))
    return [run for run in runs if done.get(_key(asdict(run) | asdict(run.recipe)), 0) < run.epochs]


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("system", "model", "dataset", "precision", "seed"))


def table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Makes one row per recipe, data set and precision: the claim, and the mean over the seeds of what was measured.

    Of runs with different numbers of epochs, the longest count; of several runs with one seed, the last.
    """
    import pandas as pd

    latest = {(*_key(row), row["epochs"]): row for row in rows}
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in latest.values():
        groups.setdefault(_key(row)[:-1], []).append(row)
    lines = []
    for recipe in RECIPES:
        for key in sorted(key for key in groups if key[:2] == (recipe.system, recipe.model)):
            most = max(row["epochs"] for row in groups[key])
            runs = sorted((row for row in groups[key] if row["epochs"] == most), key=lambda row: row["seed"])
            lines.append(_line(recipe, runs))
    return pd.DataFrame(lines, columns=list(COLUMNS))


COLUMNS = (
    "system",
    "model",
    "parameters_claimed",
    "parameters",
    "test_accuracy_claimed",
    "test_accuracy",
    "test_accuracy_std",
    "train_accuracy_claimed",
    "train_accuracy",
    "train_loss_claimed",
    "train_loss",
    "test_loss_claimed",
    "test_loss",
    "minutes_claimed",
    "minutes",
    "epochs_claimed",
    "epochs",
    "seeds",
    "dataset",
    "precision",
    "device",
    "note",
)
_MEASURED = ("test_accuracy", "train_accuracy", "train_loss", "test_loss", "minutes")


def _line(recipe: Recipe, runs: list[dict[str, Any]]) -> dict[str, Any]:
    claim, finished = recipe.claim, [run for run in runs if "error" not in run]
    means = {name: statistics.fmean(run[name] for run in finished) if finished else None for name in _MEASURED}
    accuracies = [run["test_accuracy"] for run in finished]
    claimed = {f"{name}_claimed": getattr(claim, name) for name in ("parameters", *_MEASURED)}
    notes = list(_notes(recipe, runs))
    return {
        "system": recipe.system,
        "model": recipe.model,
        **claimed,
        **means,
        "parameters": runs[0]["parameters"],
        "test_accuracy_std": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        "epochs_claimed": recipe.train.epochs,
        "epochs": runs[0]["epochs"],
        "seeds": len(runs),
        "dataset": runs[0]["dataset"],
        "precision": runs[0]["precision"],
        "device": "/".join(sorted({run["device"] for run in runs})),
        "note": "; ".join(notes),
    }


def _notes(recipe: Recipe, runs: list[dict[str, Any]]) -> Iterator[str]:
    epochs, whole = runs[0]["epochs"], recipe.train.epochs
    if runs[0]["dataset"] != "mnist":
        yield f"on {runs[0]['dataset']}, the claim is of MNIST"
    if epochs < whole:
        yield f"{epochs} of {whole} epochs"
    failed = [str(run["seed"]) for run in runs if "error" in run]
    if failed:
        yield f"diverged with seed {', '.join(failed)}"
    if recipe.claim.note:
        yield recipe.claim.note


def markdown(frame: pd.DataFrame) -> str:
    """The table as Markdown, claimed and measured results side by side."""
    head = (
        "system",
        "model",
        "parameters: claimed / counted",
        "test accuracy: claimed / measured",
        "train accuracy",
        "train loss",
        "test loss",
        "minutes",
        "epochs, seeds, precision",
        "note",
    )
    lines = [_row(head), _row("---" for _ in head)]
    for _, line in frame.astype(object).where(frame.notna(), None).iterrows():
        spread = f" ± {100 * line['test_accuracy_std']:.2f}" if line["test_accuracy_std"] is not None else ""
        lines.append(
            _row(
                (
                    line["system"],
                    f"`{line['model']}`",
                    _pair(line, "parameters", formats.number),
                    _pair(line, "test_accuracy", _percent) + spread,
                    _pair(line, "train_accuracy", _percent),
                    _pair(line, "train_loss", formats.loss),
                    _pair(line, "test_loss", formats.loss),
                    _pair(line, "minutes", _minutes),
                    f"{line['epochs']}, {line['seeds']}, {line['precision']}",
                    line["note"] or "",
                )
            )
        )
    return "\n".join(lines) + "\n"


def _pair(line: Any, name: str, form: Callable[[float | None], str]) -> str:
    return f"{form(line[f'{name}_claimed'])} / {form(line[name])}"


def _percent(fraction: float | None) -> str:
    return formats.percent(fraction, digits=2)


def _minutes(value: float | None) -> str:
    return formats.MISSING if value is None else f"{value:.1f}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
