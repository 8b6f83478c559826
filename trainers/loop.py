"""The one training loop: an epoch over tensors that are already in memory, and an evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LRScheduler

from trainers.data import Split

EVAL_BATCH = 2000


def train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[tuple[Tensor, Tensor]],
    precision: str,
    schedule: LRScheduler | None = None,
) -> tuple[float, float]:
    """Trains on every batch (images, labels) once; returns the epoch's mean loss and accuracy.

    Sums stay on the device until the end: an accelerator is not waited for between steps.
    """
    model.train()
    loss_sum, correct, seen = _Sum(), _Sum(), 0
    for images, labels in batches:
        with autocast(images, precision):
            logits = model(images)
        loss = F.cross_entropy(logits.float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if schedule is not None:
            schedule.step()
        loss_sum.add(loss.detach() * len(labels))
        correct.add((logits.argmax(1) == labels).sum())
        seen += len(labels)
    return loss_sum.item() / seen, correct.item() / seen


@torch.inference_mode()
def evaluate(model: nn.Module, data: Split, precision: str) -> tuple[float, float]:
    """Mean cross-entropy (nats) and accuracy over the whole split."""
    loss_sum, correct = _Sum(), _Sum()
    for logits, labels in _answers(model, data, precision):
        loss_sum.add(F.cross_entropy(logits, labels, reduction="sum"))
        correct.add((logits.argmax(1) == labels).sum())
    return loss_sum.item() / len(data), correct.item() / len(data)


@torch.inference_mode()
def predict(model: nn.Module, data: Split, precision: str) -> Tensor:
    """The model's logits for every image of the split: float32 (N, classes), on the CPU."""
    return torch.cat([logits.cpu() for logits, _ in _answers(model, data, precision)])


def _answers(model: nn.Module, data: Split, precision: str) -> Iterator[tuple[Tensor, Tensor]]:
    """(logits, labels) of large batches, in order."""
    model.eval()
    for images, labels in zip(torch.split(data.images, EVAL_BATCH), torch.split(data.labels, EVAL_BATCH), strict=True):
        with autocast(images, precision):
            logits = model(images).float()
        yield logits, labels


def autocast(images: Tensor, precision: str) -> AbstractContextManager[None]:
    """bfloat16 autocast for precision "bf16", nothing for "float32"."""
    return torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16")


class _Sum:
    """A sum that stays on the device of what is added until it is asked for."""

    def __init__(self) -> None:
        self.total: Tensor | None = None

    def add(self, value: Tensor) -> None:
        self.total = value if self.total is None else self.total + value

    def item(self) -> float:
        return 0.0 if self.total is None else float(self.total.item())
