"""The losses by name: what training minimizes, with the weights of classes and with labels that are mixed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from trainers.config import LOSSES, TrainConfig

Smoothing = float | Tensor
OwnLoss = Callable[[Tensor, Tensor], Tensor]
"""Takes logits (N, classes) and labels (N,); returns a single number, the loss of the batch."""


@dataclass(frozen=True)
class MixedLabels:
    """The labels of images that are mixtures of two, as mixup and cutmix make them."""

    labels: Tensor
    """int64 (N,), or (K, N) of K fused trials: of the first images."""
    others: Tensor
    """Of the second images, in the same shape."""
    share: Tensor
    """The first images' share in the mixture, one number in [0, 1]."""


Target = Tensor | MixedLabels


def labels_of(target: Target) -> Tensor:
    """Returns the labels by which hits are counted: those of the first images."""
    return target.labels if isinstance(target, MixedLabels) else target


class Loss:
    """The loss of a training, as `config` names it.

    labels: of all training images, which the weights of the classes are computed from. own: the user's function, where
    `config.loss` is no name of `LOSSES`. Raises ValueError for an unknown loss, and for what an own loss cannot have:
    weights of classes and smoothed labels.
    """

    def __init__(self, config: TrainConfig, labels: Tensor, own: OwnLoss | None = None) -> None:
        if config.loss not in LOSSES and own is None:
            raise ValueError(f"loss {config.loss!r}: choose from {', '.join(LOSSES)}")
        self._own = own if config.loss not in LOSSES else None
        if self._own and (config.label_smoothing or config.class_weights != "none"):
            raise ValueError(f"loss {config.loss}: has neither label_smoothing nor class_weights; set them in the loss")
        self._name, self._gamma, self._smoothing = config.loss, config.focal_gamma, config.label_smoothing
        self._weights = balanced_weights(labels) if config.class_weights == "balanced" else None

    @property
    def is_own(self) -> bool:
        """Whether the user's code runs."""
        return self._own is not None

    def __call__(self, logits: Tensor, target: Target) -> Tensor:
        """Returns the mean loss of a batch. logits: float32 (N, classes). target: the labels (N,), or mixed ones."""
        if isinstance(target, MixedLabels):
            return target.share * self(logits, target.labels) + (1 - target.share) * self(logits, target.others)
        if self._own:
            return self._own(logits, target)
        if self._name == "cross_entropy" and self._weights is None:
            return F.cross_entropy(logits, target, label_smoothing=self._smoothing)
        return self.of_each(logits, target, self._smoothing).mean()

    def of_each(self, logits: Tensor, target: Target, smoothing: Smoothing = 0.0) -> Tensor:
        """Returns the loss of every image (..., N), from logits (..., N, classes); not for a loss of the user's own.

        smoothing: of the labels; of fused trials (K, 1).
        """
        if isinstance(target, MixedLabels):
            first = self.of_each(logits, target.labels, smoothing)
            return target.share * first + (1 - target.share) * self.of_each(logits, target.others, smoothing)
        if self._name == "focal":
            losses = _focal(logits, target, smoothing, self._gamma)
        elif self._name == "bce":
            losses = _bce(logits, target, smoothing)
        else:
            losses = _cross_entropy(logits, target, smoothing)
        return losses if self._weights is None else losses * self._weights[target]


def balanced_weights(labels: Tensor) -> Tensor:
    """Returns a weight for each class, N / (classes * images of the class), as scikit-learn's "balanced" does.

    labels: int64 (N,). The mean weight of the images is 1. A class without images has the weight 0.
    """
    counts = torch.bincount(labels)
    return (len(labels) / ((counts > 0).sum() * counts.clamp(min=1)) * (counts > 0)).float()


def _cross_entropy(logits: Tensor, labels: Tensor, smoothing: Smoothing) -> Tensor:
    plain = F.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="none").view(labels.shape)
    if not isinstance(smoothing, Tensor) and not smoothing:
        return plain
    # With a label that is spread evenly over all classes.
    even = -F.log_softmax(logits, -1).mean(-1)
    return plain + smoothing * (even - plain)


def _focal(logits: Tensor, labels: Tensor, smoothing: Smoothing, gamma: float) -> Tensor:
    """The focal loss (Lin et al., 2017): images that are classified well count less, by (1 - p) ** gamma."""
    log_p = F.log_softmax(logits, -1)
    losses = -((1 - log_p.exp()) ** gamma) * log_p
    plain = losses.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return plain + smoothing * (losses.mean(-1) - plain)


def _bce(logits: Tensor, labels: Tensor, smoothing: Smoothing) -> Tensor:
    """The binary cross-entropy of each class against all others, added up over the classes."""
    truth = F.one_hot(labels, logits.shape[-1]).to(logits.dtype)
    spread = smoothing.unsqueeze(-1) if isinstance(smoothing, Tensor) else smoothing
    truth = truth + spread * (1 / logits.shape[-1] - truth)
    return F.binary_cross_entropy_with_logits(logits, truth, reduction="none").sum(-1)
