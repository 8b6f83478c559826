"""What a trainer is told and what it answers: plain data, readable without torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("none", "step", "cosine", "one-cycle")
AUGMENTATIONS = ("none", "rotate-crop")
PRECISIONS = ("float32", "bf16")
OWN = ("lr", "weight_decay", "optimizer")  # what each of several fused trials has for itself, beside seed and dropout


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How one model is trained.

    lr: learning rate, the highest one of a schedule. weight_decay: L2 penalty for adam and sgd, decoupled for
    adamw (Loshchilov & Hutter, 2019). momentum: of sgd; the other optimizers do not look at it. schedule: see
    trainers/schedule.py; step multiplies lr by step_factor every step_epochs epochs, cosine and one-cycle take
    `epochs` to their end. augment: see trainers/data/augment.py. precision: of the forward and backward pass, IEEE's
    float32 (no TF32) or bf16 by autocast; weights stay float32. device: a torch device. threads: of torch within this
    process.
    """

    lr: float = 1e-3
    batch_size: int = 64
    optimizer: str = "adam"
    weight_decay: float = 0.0
    momentum: float = 0.9
    schedule: str = "none"
    step_epochs: int = 6
    step_factor: float = 0.1
    augment: str = "none"
    epochs: int = 10
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

    train_loss and train_accuracy are gathered while the weights move, dropout is on and images are augmented,
    as usual: they are those of the epoch, not of the weights at its end.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    train_s: float
    eval_s: float
    images: int

    @property
    def finite(self) -> bool:
        return math.isfinite(self.train_loss) and math.isfinite(self.val_loss)


@dataclass
class FitResult:
    """What training has come to: every epoch, and the best one by validation accuracy with its weights."""

    curve: list[EpochResult] = field(default_factory=list)
    best: EpochResult | None = None
    best_weights: dict[str, Any] = field(default_factory=dict)

    def add(self, result: EpochResult, weights: Callable[[], dict[str, Any]]) -> None:
        """Takes an epoch in; `weights` is called where it is the best so far. Of equal ones the first stays."""
        self.curve.append(result)
        if result.finite and (self.best is None or result.val_accuracy > self.best.val_accuracy):
            self.best, self.best_weights = result, weights()

    @property
    def diverged(self) -> bool:
        """Whether the last epoch's loss is not finite: more epochs would not mend it."""
        return bool(self.curve) and not self.curve[-1].finite

    def measured(self) -> dict[str, Any]:
        """The measured columns of a trial: those of the best epoch (None where no epoch was finite), and sums."""
        curve, best = self.curve, self.best
        train_s = sum(result.train_s for result in curve)
        names = ("val_accuracy", "val_loss", "train_accuracy", "train_loss")
        return {
            "epochs": len(curve),
            "best_epoch": best.epoch if best else None,
            **{name: getattr(best, name) if best else None for name in names},
            "train_s": train_s,
            "eval_s": sum(result.eval_s for result in curve),
            "images_per_s": sum(result.images for result in curve) / train_s if train_s else None,
        }
