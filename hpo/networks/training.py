"""Trains one configuration outside a search, for `hpo train` and `hpo baselines`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hpo.networks.unfinished import Unfinished
from hpo.spec.normalization import scaling_for
from hpo.spec.spaces.own_functions import own_functions, training_loop
from hpo.store.model_file import Description, data_key
from hpo.system.errors import UserError
from models import build_model, without_pretrained
from trainers.config import FitResult, TrainConfig
from trainers.cpu.memory import keep_freed_memory
from trainers.data.dataset import Dataset
from trainers.data.images.pictures import background
from trainers.fit import Trainer, fit
from trainers.own_trainer import OwnTrainer
from trainers.single import SingleTrainer


@dataclass(frozen=True, kw_only=True)
class TrainingSetup:
    """What is trained, and how."""

    model: str
    train: TrainConfig
    arch: dict[str, Any] = field(default_factory=dict)
    """The architecture's own hyperparameters."""
    trainer: str | None = None
    """The user's own training loop."""
    of_trainer: dict[str, Any] = field(default_factory=dict)
    """Its own hyperparameters."""


def train_model(
    setup: TrainingSetup,
    dataset: Dataset,
    report: Callable[[FitResult], object] = lambda _: None,
    watch: Callable[[float], object] = lambda _: None,
    unfinished: Unfinished | None = None,
) -> FitResult:
    """Trains for the epochs of `setup.train`. The test split stays sealed.

    `report` takes the result so far after each epoch; `watch` takes, at the start of each batch, the fraction of the
    epoch that is done. With `unfinished`, the training goes on where it was stopped, and can be stopped again.
    """
    keep_freed_memory()
    make = partial(build_model, setup.model, dataset.input_shape, len(dataset.classes), **setup.arch)
    data = dataset.training.scaled(scaling_for(setup.model, setup.arch, dataset.training.scaling))
    own = own_functions(setup.train)
    trainer: Trainer = (
        OwnTrainer(training_loop(setup.trainer), make, data, setup.train, setup.of_trainer, own)
        if setup.trainer
        else SingleTrainer(make, data, setup.train, watch, own)
    )

    def reported(so_far: FitResult) -> None:
        if unfinished:
            unfinished.save(trainer, so_far)
        report(so_far)

    try:
        return fit(trainer, setup.train.epochs, reported, unfinished.restore(trainer) if unfinished else None)
    finally:
        trainer.close()


def resolve_device(name: str) -> str:
    """Returns cpu, cuda or mps; "auto" is cuda if there is one, else cpu. Raises UserError for a missing device."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    check_device(name, torch.cuda.is_available())
    return name


def check_device(name: str, has_gpu: bool) -> None:
    """Raises UserError for a missing device. `has_gpu` says whether this machine, or the cluster, has a CUDA GPU."""
    import torch

    if name == "cuda" and not has_gpu:
        raise UserError("--device cuda: this machine has no CUDA GPU; choose from cpu, auto")
    if name == "mps" and not torch.backends.mps.is_available():
        raise UserError("--device mps: this machine has no Apple GPU; choose from cpu, auto")


def describe(trial_id: str, setup: TrainingSetup, dataset: Dataset, train_size: int | None) -> Description:
    """Describes a network that was trained on `dataset` as `setup` says."""

    scaling = scaling_for(setup.model, setup.arch, dataset.training.scaling)
    return Description(
        model=setup.model,
        arch=without_pretrained(setup.model, setup.arch),
        input_shape=dataset.input_shape,
        classes=dataset.classes,
        mean=scaling.mean,
        std=scaling.std,
        background=background(dataset),
        dataset=data_key(dataset.name),
        train_size=train_size,
        hashes=dataset.hashes,
        epochs=setup.train.epochs,
        trial_id=trial_id,
        resize=dataset.resize,
        skip_broken=bool(dataset.skipped),
        trainer=setup.trainer,
        stream=dataset.training.stream is not None,
    )
