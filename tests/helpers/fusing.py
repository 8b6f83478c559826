"""Fused trials and single ones, and what they may differ by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

from models import MODELS, build_model
from trainers.config import EpochResult, TrainConfig
from trainers.data.dataset import load_dataset
from trainers.data.splits import TrainingData
from trainers.fused.trainer import FusedTrainer
from trainers.single import SingleTrainer

Make = Callable[[], nn.Module]
# What fused trials may differ by: adam moves a weight by lr, whichever sign a gradient of 1e-17 has.
LOSS, WEIGHT = 1e-5, 2e-3
FUSIBLE = [name for name in MODELS if name != "vgg16" and not name.startswith(("resnet", "tiny"))]


def digits() -> TrainingData:
    return load_dataset("digits", Path("x"), train_size=150).training


def digits_in_doubles() -> TrainingData:
    data = digits()
    splits = (s.normalized() for s in (data.train, data.validation.first(100)))
    return TrainingData(*(replace(split, images=split.images.double()) for split in splits))


def make(name: str, **arch: Any) -> Make:
    if "dropout" in arch and name.startswith("compact"):
        del arch["dropout"]
    return partial(build_model, name, (1, 28, 28), 10, **arch)


def in_doubles(make_model: Make) -> Make:
    return lambda: make_model().double()


def configs(**shared: Any) -> list[TrainConfig]:
    """Settings of three trials; optimizer: of all, or "each" with one of its own."""
    own = [{"lr": 1e-3, "weight_decay": 1e-4}, {"lr": 4e-3, "weight_decay": 1e-2}, {"lr": 2e-4, "weight_decay": 0.0}]
    if shared.get("optimizer") == "each":
        shared.pop("optimizer")
        own = [{**values, "optimizer": name} for values, name in zip(own, ("adam", "sgd", "adamw"), strict=True)]
    return [TrainConfig(**{"batch_size": 32, **values, **shared}, seed=seed) for seed, values in enumerate(own)]


def fused(makes: Sequence[Make], data: TrainingData, settings: Sequence[TrainConfig], epochs: int = 2) -> Any:
    trainer = FusedTrainer(makes, data, settings)
    return trainer, [trainer.step() for _ in range(epochs)]


def single(make_model: Make, data: TrainingData, config: TrainConfig, epochs: int = 2) -> Any:
    trainer = SingleTrainer(make_model, data, config)
    return trainer, [trainer.step()[0] for _ in range(epochs)]


def assert_same(fused_weights: dict[str, Tensor], weights: dict[str, Tensor], most: float = WEIGHT) -> None:
    assert list(fused_weights) == list(weights)
    for name, value in weights.items():
        assert fused_weights[name].dtype == value.dtype
        assert (fused_weights[name] - value).abs().max() <= most, name


def assert_equal(curve: Sequence[EpochResult], other: Sequence[EpochResult], most: float = LOSS) -> None:
    for one, two in zip(curve, other, strict=True):
        assert (one.epoch, one.images) == (two.epoch, two.images)
        for name in ("train_loss", "val_loss"):
            assert getattr(one, name) == pytest.approx(getattr(two, name), abs=most)
        for name in ("train_accuracy", "val_accuracy"):
            assert getattr(one, name) == pytest.approx(getattr(two, name), abs=1e-12)


def assert_as_alone(
    run: tuple[FusedTrainer, Sequence[Sequence[EpochResult]]],
    place: int,
    make_model: Make,
    data: TrainingData,
    config: TrainConfig,
    epochs: int = 2,
) -> None:
    """The trial at this place of a fused run, a trainer and its last epochs, is what it is when trained alone."""
    trainer, results = run
    alone, curve = single(make_model, data, config, epochs)
    assert_equal([epoch[place] for epoch in results], curve[-len(results) :])
    assert_same(trainer.weights(place), alone.weights())
