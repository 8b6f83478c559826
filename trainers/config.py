"""What a trainer is given and what it returns: plain data, readable without torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("none", "step", "cosine", "one-cycle", "wsd", "linear")
PLANNED_SCHEDULES = ("cosine", "one-cycle", "wsd", "linear")  # end with the last of `epochs`
AUGMENTATIONS = (
    "none",
    "rotate-crop",
    "shift",
    "shift-flip",
    "crop",
    "flip",
    "zoom",
    "color",
    "trivial",
    "rand",
    "erase",
    "mixup",
    "cutmix",
)
MIXTURES = ("mixup", "cutmix")  # of two images each; they are parts of an augmentation too
_JOINED = {"none": (), "shift-flip": ("shift", "flip")}  # names of other forms than NAME+NAME
PRECISIONS = ("float32", "bf16")
LOSSES = ("cross_entropy", "focal", "bce")
CLASS_WEIGHTS = SAMPLER_WEIGHTS = ("none", "balanced")
METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "top5", "log_loss", "auroc")
LOWER_IS_BETTER = ("log_loss",)
# Settings that may differ between the trials of one fused group, beside the seed and the network's dropout.
PER_TRIAL_SETTINGS = ("lr", "weight_decay", "optimizer", "label_smoothing", "ema", "clip_norm")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How one network is trained."""

    lr: float = 1e-3
    """Learning rate; the highest one of a schedule."""
    batch_size: int = 64
    """Images per step, of all processes together."""
    optimizer: str = "adam"
    """One of `OPTIMIZERS`."""
    weight_decay: float = 0.0
    """L2 penalty for adam and sgd, decoupled decay for adamw (Loshchilov & Hutter, 2019)."""
    momentum: float = 0.9
    """Momentum of sgd; the other optimizers ignore it."""
    nesterov: bool = False
    """Whether sgd looks ahead along its momentum (Nesterov, 1983; Sutskever et al., 2013)."""
    beta1: float = 0.9
    """Decay of the mean of the gradients in adam and adamw; sgd ignores it."""
    clip_norm: float = 0.0
    """Largest norm of the gradient of all weights together; a longer gradient is scaled down to it. 0: no limit."""
    loss: str = "cross_entropy"
    """One of `LOSSES`, see trainers/criteria/losses.py, or the name of the user's own."""
    focal_gamma: float = 2.0
    """How much less the loss focal counts images that are classified well."""
    class_weights: str = "none"
    """Weights of the classes in the loss: none, or balanced, by one over their counts."""
    sampler_weights: str = "none"
    """How training images are drawn: none, each once an epoch, or balanced, all classes equally often."""
    label_smoothing: float = 0.0
    """Share of a label that is spread evenly over all classes, in training only (Szegedy et al., 2016)."""
    ema: float = 0.0
    """Decay of the exponential moving average of the weights; see trainers/optim/average.py. 0: no average."""
    schedule: str = "none"
    """One of `SCHEDULES`; see trainers/optim/schedule.py."""
    warm_up: float = 0.05
    """Share of all steps in which the learning rate rises, for the schedules wsd and linear."""
    step_epochs: int = 6
    """Epochs between two drops of the learning rate, for the schedule step."""
    step_factor: float = 0.1
    """Factor of each drop, for the schedule step."""
    augment: str = "none"
    """One of `AUGMENTATIONS`, or several joined by "+"; see trainers/augment/policies.py."""
    augment_strength: float = 1.0
    """Factor of the amounts by which images are changed; 1: those of the sources."""
    metric: str = "accuracy"
    """One of `METRICS`, or the name of the user's own: what epochs are compared by."""
    epochs: int = 10
    """Epochs after which the schedules cosine, one-cycle, wsd and linear have ended."""
    precision: str = "float32"
    """Forward and backward pass: IEEE float32 (no TF32), or bf16 by autocast. Weights stay float32."""
    device: str = "cpu"
    """A torch device."""
    threads: int = 1
    """CPU threads that torch uses in this process."""
    seed: int = 0
    """Seed of initial weights, batch order, dropout and augmentation."""


def augmentation_parts(name: str) -> tuple[str, ...]:
    """Returns the parts of an augmentation, in their order: "shift+flip" has two, "none" has no part."""
    return tuple(part for given in name.split("+") for part in _JOINED.get(given, (given,)))


OF_TRAINER = "trainer_"  # begins the names of hyperparameters of the user's own training loop


def split_config(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Splits a trial's configuration into the fields of `TrainConfig` and the hyperparameters of the architecture.

    Those of the user's own training loop are in neither; see `of_trainer`.
    """
    names = {item.name for item in fields(TrainConfig)}
    own = {key: value for key, value in config.items() if not key.startswith(OF_TRAINER)}
    train = {key: value for key, value in own.items() if key in names}
    return train, {key: value for key, value in own.items() if key not in names}


def of_trainer(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the hyperparameters of the user's own training loop, by the names that they have there."""
    return {key.removeprefix(OF_TRAINER): value for key, value in config.items() if key.startswith(OF_TRAINER)}


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """What one epoch measured.

    The training loss and accuracy are gathered during the epoch, while the weights move, dropout is on and images are
    augmented. They do not describe the weights at the epoch's end; the validation columns do.
    """

    epoch: int
    """Number of the epoch, from 1."""
    train_loss: float
    """Mean of the training's own loss per image, in nats for cross-entropy; of smoothed labels where they are."""
    train_accuracy: float
    """Fraction in [0, 1]."""
    val_loss: float
    """Mean cross-entropy per image, in nats; NaN without validation images."""
    val_accuracy: float
    """Fraction in [0, 1]; NaN without validation images."""
    val_score: float | None = None
    """The metric on the validation images, as a score: higher is better, so that it is minus a loss. None where the
    metric is the accuracy."""
    train_s: float
    """Seconds of training; the trial's share where trials are fused."""
    eval_s: float
    """Seconds of evaluation; the trial's share where trials are fused."""
    images: int
    """Images trained on."""

    @property
    def score(self) -> float:
        """What epochs are compared by: higher is better."""
        return self.val_accuracy if self.val_score is None else self.val_score

    @property
    def finite(self) -> bool:
        """Whether both losses are finite."""
        return math.isfinite(self.train_loss) and math.isfinite(self.val_loss)


@dataclass
class FitResult:
    """What training has led to so far."""

    curve: list[EpochResult] = field(default_factory=list)
    """Every epoch, in order."""
    best: EpochResult | None = None
    """The epoch with the highest score, the first of equal ones; None while no epoch is finite."""
    best_weights: dict[str, Any] = field(default_factory=dict)
    """The state_dict after the best epoch."""

    def add(self, result: EpochResult, weights: Callable[[], dict[str, Any]]) -> None:
        """Adds an epoch; calls `weights` only where it is the best so far."""
        self.curve.append(result)
        if result.finite and (self.best is None or result.score > self.best.score):
            self.best, self.best_weights = result, weights()

    @property
    def diverged(self) -> bool:
        """Whether the last epoch's loss is not finite: more epochs would not repair it."""
        return bool(self.curve) and not self.curve[-1].finite

    def measured(self) -> dict[str, Any]:
        """Returns a trial's measured columns: those of the best epoch (None without one), and sums over all epochs."""
        curve, best = self.curve, self.best
        train_s = sum(result.train_s for result in curve)
        names = ("val_accuracy", "val_score", "val_loss", "train_accuracy", "train_loss")
        return {
            "epochs": len(curve),
            "best_epoch": best.epoch if best else None,
            **{name: getattr(best, name) if best else None for name in names},
            "train_s": train_s,
            "eval_s": sum(result.eval_s for result in curve),
            "images_per_s": sum(result.images for result in curve) / train_s if train_s else None,
        }
