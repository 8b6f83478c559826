"""Trained weights on a split: the one place besides the baselines where a test split is opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.networks.training import resolve_device
from hpo.spec.evaluate import EvaluateSpec
from hpo.spec.settings import DataSpec
from hpo.store import model_file as weights
from hpo.store.best_file import has_weights
from hpo.store.model_file import Description
from hpo.system.errors import UserError
from hpo.trials.records import TrialRecord
from hpo.views.evaluation import Evaluation
from trainers.data.dataset import DATASETS, Dataset, Split, denormalized, load_dataset

if TYPE_CHECKING:
    from torch import Tensor


_SEEN = "these are images the network was trained on: this says nothing about new ones"
_CHOSEN = "epoch and configuration were chosen on these images: on new ones it is a little worse"


def evaluate_weights(path: Path, spec: EvaluateSpec) -> Evaluation:
    """Runs the network in `path` over the split; ValueError for weights or data that are not usable or do not fit."""
    from torch.nn import functional as F

    from trainers.loop import predict
    from trainers.metrics import classification_report

    description, network = weights.load(path, spec.model)
    device = resolve_device(spec.train.device)
    dataset = _dataset(description, spec)
    split = _split(dataset, spec.split)
    logits = predict(network.to(device), split.to(device), spec.train.plain_precision)
    predicted = logits.argmax(1)
    return Evaluation(
        model=description.model,
        dataset=dataset.name,
        split=spec.split,
        loss=F.cross_entropy(logits, split.labels).item(),
        report=classification_report(split.labels, predicted, description.classes),
        notes=tuple(_notes(description, dataset, spec.split)),
        wrong=_wrong(split, logits, description),
    )


def evaluate_winner(run: Path, data_dir: Path | None, trusted: Sequence[str], winner: TrialRecord) -> Evaluation:
    """A run's winner on the validation split: the test split stays sealed.

    trusted: each MODULE:NAME whose code may run. Raises ValueError where best.pt is of another trial, or as
    `evaluate_weights`.
    """
    if (run / "best.json").exists() and not has_weights(run, winner):
        raise UserError("best.pt is not the winner's, whose checkpoint was gone when it came to lead")
    model = winner.model if winner.model in trusted else None
    return evaluate_weights(run, EvaluateSpec(split="validation", data_dir=data_dir, model=model))


def _dataset(description: Description, spec: EvaluateSpec) -> Dataset:
    """The data set, normalized as in the training, and split as in the training."""
    name = description.dataset
    if spec.dataset is None and name not in DATASETS and not Path(name).exists():
        raise UserError(f"{name}, which it was trained on, is not there; give its place with --dataset")
    data = DataSpec(dataset=spec.dataset or name, data_dir=spec.data_dir)
    # Of another data set the whole training split is meant.
    size = description.train_size if weights.data_key(data.dataset) == name else None
    mean, std = description.mean, description.std
    dataset = load_dataset(data.dataset, data.directory, mean=mean, std=std, train_size=size)
    if dataset.input_shape != description.input_shape or dataset.classes != description.classes:
        raise UserError(
            f"--dataset {dataset.name}: has {_kind(dataset.input_shape, dataset.classes)}; "
            f"the network was trained on {_kind(description.input_shape, description.classes)}"
        )
    return dataset


def _kind(shape: tuple[int, ...], classes: tuple[str, ...]) -> str:
    names = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
    return f"images of {'x'.join(map(str, shape))} in {len(classes)} classes ({names})"


def _split(dataset: Dataset, name: str) -> Split:
    if name == "test":
        return dataset.test.open()
    return dataset.training.train if name == "train" else dataset.training.validation


def _notes(description: Description, dataset: Dataset, split: str) -> list[str]:
    """Decided by what the images are, not by what the data set is called."""
    part = next((part for part, sha in description.hashes.items() if sha == dataset.hashes[split]), None)
    if part is not None:
        return {"train": [_SEEN], "validation": [_CHOSEN]}.get(part, [])
    if weights.data_key(dataset.name) == description.dataset:
        return [f"{dataset.name} has changed since the training: its {split} split may hold images of it"]
    return [f"trained on {description.dataset}"]


def _wrong(split: Split, logits: Tensor, description: Description) -> tuple[Tensor, list[str]]:
    sure, predicted = logits.softmax(1).max(1)
    at = (predicted != split.labels).nonzero()[:, 0]
    at = at[sure[at].argsort(descending=True, stable=True)]
    names = description.classes
    pairs = zip(split.labels[at].tolist(), predicted[at].tolist(), strict=True)
    return denormalized(split.images[at], description.mean, description.std), [
        f"{names[true]} > {names[taken]}" for true, taken in pairs
    ]
