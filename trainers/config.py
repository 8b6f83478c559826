"""What a trainer is told and what it answers: plain data, readable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

OPTIMIZERS = ("adam", "adamw", "sgd")
PRECISIONS = ("float32", "bf16")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How one model is trained.

    lr: learning rate. weight_decay: L2 penalty for adam and sgd, decoupled for adamw (Loshchilov & Hutter,
    2019). momentum: of sgd; the other optimizers do not look at it. precision: of the forward and backward
    pass; weights stay float32. device: a torch device. threads: of torch within this process.
    """

    lr: float = 1e-3
    batch_size: int = 64
    optimizer: str = "adam"
    weight_decay: float = 0.0
    momentum: float = 0.9
    precision: str = "float32"
    device: str = "cpu"
    threads: int = 1
    seed: int = 0


def split_config(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A trial's configuration in two: what `TrainConfig` has a field for, and the rest, which is the architecture's."""
    names = {item.name for item in fields(TrainConfig)}
    train = {key: value for key, value in config.items() if key in names}
    return train, {key: value for key, value in config.items() if key not in names}


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """One epoch. Losses are means per image (nats), accuracies fractions in [0, 1], times seconds.

    train_loss and train_accuracy are gathered while the weights move and dropout is on, as usual:
    they are those of the epoch, not of the weights at its end.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    train_s: float
    eval_s: float
    images: int
