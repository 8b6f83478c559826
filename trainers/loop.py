"""The training loop: one epoch over tensors that are already in memory, and the evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.criteria.losses import Target, labels_of
from trainers.criteria.metrics import Metric, judged
from trainers.data.splits import Split

EVAL_BATCH_SIZE = 8000  # images at once on an accelerator, which larger batches fill better
# One CPU thread evaluates cnn at 10,700 images/s in batches of 100, 11,300 to 11,500 in batches of 250 to 2,000, and
# 10,900 in batches of 5,000 (medians of five): among equally fast sizes, this one needs little memory.
CPU_EVAL_BATCH_SIZE = 500
# Large images are fewer at once: what the layers keep is a multiple of this.
EVAL_BYTES, CPU_EVAL_BYTES = 2**29, 2**25  # of a batch of normalized images


def train_epoch(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Target]],
    precision: str,
    update: Callable[[], object],
    loss_of: Callable[[Tensor, Any], Tensor] = F.cross_entropy,
    counts: Callable[[], bool] = lambda: True,
) -> tuple[float, float]:
    """Trains on every batch (images, labels) once; returns the epoch's mean loss and accuracy.

    update: takes the optimizer's step and removes the gradients. loss_of: a `Loss`, or any function of logits and
    labels that returns a single number. counts: called after each batch, tells whether the batch is part of these
    means; they are 0 where no batch is.
    """
    model.train()
    # Losses and answers stay on the device until the epoch ends: reading one would make the host wait at each step.
    losses, answers, truth = [], [], []
    for images, target in batches:
        with autocast(images, precision):
            logits = model(images)
        loss = loss_of(logits.float(), target)
        loss.backward()  # type: ignore[no-untyped-call]
        update()
        if not counts():
            continue
        losses.append(loss.detach())
        answers.append(logits.detach().argmax(1))
        truth.append(labels_of(target))
    if not losses:
        return 0.0, 0.0
    sizes = torch.tensor([len(labels) for labels in truth], device=losses[0].device)
    right = torch.cat(answers) == torch.cat(truth)
    return float((torch.stack(losses) * sizes).sum() / sizes.sum()), float(right.double().mean())


@torch.inference_mode()
def evaluate(model: nn.Module, data: Split, precision: str) -> tuple[float, float]:
    """Returns the mean cross-entropy (nats per image) and the accuracy over a split that is not empty."""
    loss_sum, correct = _DeviceSum(), _DeviceSum()
    for logits, labels in _answers(model, data, precision):
        loss_sum.add(F.cross_entropy(logits, labels, reduction="sum"))
        correct.add((logits.argmax(1) == labels).sum())
    return loss_sum.item() / len(data), correct.item() / len(data)


def validated(model: nn.Module, data: Split, precision: str, score: Metric | None) -> tuple[float, float, float | None]:
    """Returns the mean cross-entropy, the accuracy and the score over a split; NaN where that is empty.

    score: of the metric; None, as is its value, where the metric is the accuracy.
    """
    if not len(data):
        return math.nan, math.nan, None if score is None else math.nan
    if score is None:
        return *evaluate(model, data, precision), None
    return judged(predict(model, data, precision), data.labels, score)


@torch.inference_mode()
def predict(model: nn.Module, data: Split, precision: str) -> Tensor:
    """Returns the model's logits for every image of the split: float32 (N, classes), on the CPU."""
    return torch.cat([logits.cpu() for logits, _ in _answers(model, data, precision)])


def _answers(model: nn.Module, data: Split, precision: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields (logits, labels) of large batches, in order."""
    use_ieee_float32()
    model.eval()
    for images, labels in data.batches(eval_batch_size(data)):
        with autocast(images, precision):
            logits = model(images).float()
        yield logits, labels


def eval_batch_size(data: Split) -> int:
    """Returns how many images are evaluated at once, of all trials of a group together."""
    is_cpu = data.images.device.type == "cpu"
    most, room = (CPU_EVAL_BATCH_SIZE, CPU_EVAL_BYTES) if is_cpu else (EVAL_BATCH_SIZE, EVAL_BYTES)
    return max(1, min(most, room // (4 * data.images.shape[1:].numel())))


def autocast(images: Tensor, precision: str) -> AbstractContextManager[None]:
    """Returns bfloat16 autocast for the precision "bf16", and a context that does nothing for "float32"."""
    return torch.autocast(images.device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def use_ieee_float32() -> None:
    """Makes "float32" mean IEEE float32 in this process.

    By default PyTorch lets cuDNN's convolutions round to 10 bits (TF32), and a user's module may have asked for the
    same in matrix products.
    """
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False  # the older switch: PyTorch raises where it contradicts the newer ones
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.backends.cudnn.rnn.fp32_precision = "ieee"  # type: ignore[attr-defined]


def batches_per_epoch(images: int, batch_size: int) -> int:
    """Returns the number of batches in an epoch, at least 1.

    A last batch of one image is left out, because BatchNorm cannot train on it.
    """
    whole, rest = divmod(images, batch_size)
    return max(1, whole + (rest > 1))


def sum_dtype(device: str) -> torch.dtype:
    """Returns the type in which losses and hits are added up: float64, but float32 on mps, which has no float64."""
    return torch.float32 if device == "mps" else torch.float64


class _DeviceSum:
    """A sum that stays on the device of its terms until it is read."""

    def __init__(self) -> None:
        self.total: Tensor | None = None

    def add(self, value: Tensor) -> None:
        self.total = value if self.total is None else self.total + value

    def item(self) -> float:
        return 0.0 if self.total is None else float(self.total.item())
