"""One training of a reproduced system's recipe, and the row of the journal that it becomes."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from hpo.networks.reproduction.recipes import Recipe
from hpo.networks.training import TrainingSetup, train_model
from hpo.networks.unfinished import Unfinished
from models import build_model, trainable_parameters
from trainers.config import TrainConfig
from trainers.data.dataset import Dataset, load_dataset
from trainers.data.reading import ReadOptions
from trainers.loop import evaluate


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
    skip_broken: bool = False
    out: Path
    """The folder of its journal, which keeps the run while it is unfinished."""

    @property
    def identity(self) -> tuple[Any, ...]:
        """That of the row that it becomes."""
        return (self.recipe.system, self.recipe.model, self.dataset, self.precision, self.seed)

    @property
    def train(self) -> TrainConfig:
        """The recipe's settings of the training, with what this run changes."""
        return replace(
            self.recipe.train, seed=self.seed, epochs=self.epochs, precision=self.precision, device=self.device
        )

    @property
    def unfinished(self) -> Path:
        """The file that the run goes on from after it was stopped."""
        name = "-".join(str(part) for part in (*self.identity, self.epochs)).replace("/", "-")
        return self.out / "unfinished" / f"{name}.pt"

    @property
    def settings(self) -> dict[str, Any]:
        """All that the trained network depends on."""
        recipe = self.recipe
        return {**asdict(self.train), "arch": recipe.arch, "scaling": (recipe.mean, recipe.std)}


def train_baseline(run: BaselineRun) -> dict[str, Any]:
    """Trains the recipe's model on the training split, and tests the weights of the epoch with the best validation
    accuracy, once. It is saved after each epoch, and goes on from there when it was stopped.

    Returns the row for the journal: accuracies are fractions in [0, 1], losses mean nats per image, minutes those of
    training and validation. Its "error" says in which epoch a training diverged. Raises DataError for a data set that
    cannot be used.
    """
    recipe = run.recipe
    dataset = _dataset(run.dataset, run.data_dir, run.skip_broken, recipe.mean, recipe.std)
    setup = TrainingSetup(model=recipe.model, train=run.train, arch=recipe.arch)
    fitted = train_model(setup, dataset, unfinished=Unfinished(run.unfinished, run.settings))
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
        "test_images": len(dataset.test),
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
def _dataset(name: str, data_dir: Path, skip_broken: bool, mean: float | None, std: float | None) -> Dataset:
    return load_dataset(name, data_dir, mean=mean, std=std, options=ReadOptions(skip_broken=skip_broken))


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name()
    return f"{device}, {platform.machine()}, 1 thread" if device == "cpu" else device


def identity(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells the runs of a journal apart, but for the number of epochs; the seed comes last."""
    return tuple(row[name] for name in ("system", "model", "dataset", "precision", "seed"))
