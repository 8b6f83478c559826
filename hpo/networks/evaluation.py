"""Evaluates trained weights on a split. Besides the finals and the baselines, only this opens a test split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.networks.own_criteria import check_criteria
from hpo.networks.reading import reading
from hpo.networks.training import resolve_device
from hpo.spec.commands.evaluate import EvaluateSpec
from hpo.spec.settings import DataSpec
from hpo.spec.spaces.own_functions import is_own, load
from hpo.store import model_file
from hpo.store.model_file import FINAL, Description, data_key, has_weights
from hpo.system.errors import UserError
from hpo.trials.metric import label
from hpo.trials.records import TrialRecord
from hpo.views.evaluation import Evaluation, Mistake
from hpo.views.figures import MAX_IMAGES
from trainers.criteria.metrics import all_metrics, classification_report
from trainers.data.dataset import Dataset, load_dataset
from trainers.data.names import is_function, is_named
from trainers.data.splits import Split
from trainers.loop import predict

if TYPE_CHECKING:
    from torch import Tensor, nn


def _own_metric(name: str | None, logits: Tensor, labels: Tensor) -> dict[str, float]:
    if name is None or not is_own(name):
        return {}
    check_criteria((), name, logits.shape[1])
    return {label(name): float(load("--metric", name)(labels.numpy(), logits.softmax(1).numpy()))}


_SEEN = "the network was trained on these images, so this accuracy says nothing about new images"
_CHOSEN = "the epoch and the configuration were chosen by these images; expect a little less on new images"


def evaluate_weights(path: Path, spec: EvaluateSpec, trusted: Sequence[str] = ()) -> Evaluation:
    """Runs the network in `path` over the split. `trusted` has data sets MODULE:NAME whose code may run. Raises
    UserError or DataError for unusable weights or data."""
    description, network = model_file.load(path, spec.model, spec.trial_network)
    return evaluate(description, network, _dataset(description, spec, trusted), spec)


def evaluate(description: Description, network: nn.Module, dataset: Dataset, spec: EvaluateSpec) -> Evaluation:
    """Runs the network over the split. Raises UserError where it and a metric of the user's own do not fit."""
    from torch.nn import functional as F

    device = resolve_device(spec.train.device)
    split = _split(dataset, spec.split)
    logits = predict(network.to(device), split.to(device), spec.train.plain_precision)
    predicted = logits.argmax(1)
    return Evaluation(
        model=description.model,
        dataset=dataset.name,
        split=spec.split,
        loss=F.cross_entropy(logits, split.labels).item(),
        report=classification_report(split.labels, predicted, description.classes),
        metrics={**all_metrics(logits, split.labels), **_own_metric(spec.metric, logits, split.labels)},
        notes=tuple(_notes(description, dataset, spec.split)),
        wrong=_wrong(split, logits, description),
    )


def evaluate_winner(run: Path, data_dir: Path | None, trusted: Sequence[str], winner: TrialRecord) -> Evaluation:
    """Evaluates the network of a run's winning trial on the validation split, on which it was not trained; the test
    split stays sealed.

    `trusted` has each MODULE:NAME whose code may run. Raises UserError where the network of the search was lost, and as
    `evaluate_weights`.
    """
    if (run / "best.json").exists() and not has_weights(run, winner, trial_network=True):
        raise UserError("the network of the winning trial is not there: its checkpoint was lost")
    model = winner.model if winner.model in trusted else None
    spec = EvaluateSpec(split="validation", data_dir=data_dir, model=model, trial_network=True)
    return evaluate_weights(run, spec, trusted)


def _dataset(description: Description, spec: EvaluateSpec, trusted: Sequence[str] = ()) -> Dataset:
    """Loads the data set, normalized and split as in the training."""
    name = description.dataset
    if spec.dataset is None and is_function(name) and name not in trusted:
        raise UserError(f"{name}: the network was trained on this data set, whose code would run; add --dataset {name}")
    if spec.dataset is None and not is_named(name) and not is_function(name) and not Path(name).exists():
        raise UserError(
            f"{name}: the network was trained on this data set, which is missing here; give its path with --dataset"
        )
    data = DataSpec(dataset=spec.dataset or name, data_dir=spec.data_dir)
    # The subset is one of the network's own data set; of another one the whole training split is used.
    size = description.train_size if data_key(data.dataset) == name else None
    mean, std = description.mean, description.std
    how = description.resize or "pad", bool(description.skip_broken) or spec.skip_broken
    with reading(data.dataset, description.input_shape[1:], *how) as options:
        dataset = load_dataset(data.dataset, data.directory, mean=mean, std=std, train_size=size, options=options)
    # The images that it was trained on may have got names of classes since.
    known = dataset.classes == description.classes or dataset.hashes == description.hashes
    if dataset.input_shape != description.input_shape or not known:
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
    """What a reader must know, decided by the hashes of the images and not by the name of the data set."""
    part = next((part for part, sha in description.hashes.items() if sha == dataset.hashes[split]), None)
    if part is not None:
        validated = _SEEN if description.network == FINAL else _CHOSEN
        return {"train": [_SEEN], "validation": [validated]}.get(part, [])
    if data_key(dataset.name) == description.dataset:
        return [f"{dataset.name} has changed since the training; its {split} split may contain training images"]
    return [f"the network was trained on {description.dataset}"]


def _wrong(split: Split, logits: Tensor, description: Description) -> tuple[Tensor, list[Mistake]]:
    sure, predicted = logits.softmax(1).max(1)
    at = (predicted != split.labels).nonzero()[:, 0]
    at = at[sure[at].argsort(descending=True, stable=True)]
    names = description.classes
    found = zip(split.labels[at].tolist(), predicted[at].tolist(), sure[at].tolist(), strict=True)
    return split.pixels(at[:MAX_IMAGES]), [Mistake(names[true], names[taken], share) for true, taken, share in found]
