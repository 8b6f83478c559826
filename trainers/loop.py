"""The one training loop: an epoch over tensors that are already in memory, and an evaluation."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.data import Split

EVAL_BATCH = 2000


def train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: tuple[Tensor, ...],
    data: Split,
    precision: str,
) -> tuple[float, float]:
    """Trains on every batch of indices once; returns the epoch's mean loss and accuracy.

    `batches` holds int64 index vectors into `data`, on its device. Sums stay on the device until the end:
    an accelerator is not waited for between steps.
    """
    model.train()
    loss_sum, correct = _zeros(data)
    for batch in batches:
        images, labels = data.images[batch], data.labels[batch]
        with autocast(data, precision):
            logits = model(images)
        loss = F.cross_entropy(logits.float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss_sum += loss.detach() * len(batch)
        correct += (logits.argmax(1) == labels).sum()
    seen = sum(len(batch) for batch in batches)
    return loss_sum.item() / seen, correct.item() / seen


@torch.inference_mode()
def evaluate(model: nn.Module, data: Split, precision: str) -> tuple[float, float]:
    """Mean cross-entropy (nats) and accuracy over the whole split, in large batches."""
    model.eval()
    loss_sum, correct = _zeros(data)
    for images, labels in zip(torch.split(data.images, EVAL_BATCH), torch.split(data.labels, EVAL_BATCH), strict=True):
        with autocast(data, precision):
            logits = model(images).float()
        loss_sum += F.cross_entropy(logits, labels, reduction="sum")
        correct += (logits.argmax(1) == labels).sum()
    return loss_sum.item() / len(data), correct.item() / len(data)


def autocast(data: Split, precision: str) -> AbstractContextManager[None]:
    """bfloat16 autocast for precision "bf16", nothing for "float32"."""
    return torch.autocast(data.images.device.type, torch.bfloat16, enabled=precision == "bf16")


def _zeros(data: Split) -> tuple[Tensor, Tensor]:
    device = data.images.device
    return torch.zeros((), device=device), torch.zeros((), dtype=torch.int64, device=device)
