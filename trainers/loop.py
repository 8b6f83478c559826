"""The one training loop: an epoch over tensors that are already in memory, and an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LRScheduler

from trainers.data.dataset import Split

# Images at once: on a CPU the largest tensors of more would leave its cache, an accelerator is filled by more.
EVAL_BATCH, EVAL_BATCH_CPU = 2000, 500


def train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[tuple[Tensor, Tensor]],
    precision: str,
    schedule: LRScheduler | None = None,
    counts: Callable[[], bool] = lambda: True,
) -> tuple[float, float]:
    """Trains on every batch (images, labels) once; returns the mean loss and accuracy of the epoch, or of those batches
    after which `counts` says that they are part of it (0 and 0 where none is).

    What is measured stays on the device until the end: an accelerator is not waited for between steps, and on a CPU
    a small network's step is as long as a few dozen operations.
    """
    model.train()
    losses, answers, truth = [], [], []
    for images, labels in batches:
        with autocast(images, precision):
            logits = model(images)
        loss = F.cross_entropy(logits.float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if schedule is not None:
            schedule.step()
        if not counts():
            continue
        losses.append(loss.detach())
        answers.append(logits.detach().argmax(1))
        truth.append(labels)
    if not losses:
        return 0.0, 0.0
    sizes = torch.tensor([len(labels) for labels in truth], device=losses[0].device)
    right = torch.cat(answers) == torch.cat(truth)
    return float((torch.stack(losses) * sizes).sum() / sizes.sum()), float(right.double().mean())


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
    use_whole_float32()
    model.eval()
    most = EVAL_BATCH_CPU if data.images.device.type == "cpu" else EVAL_BATCH
    for images, labels in zip(torch.split(data.images, most), torch.split(data.labels, most), strict=True):
        with autocast(images, precision):
            logits = model(images).float()
        yield logits, labels


def autocast(images: Tensor, precision: str) -> AbstractContextManager[None]:
    """bfloat16 autocast for precision "bf16", nothing for "float32"."""
    return torch.autocast(images.device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def use_whole_float32() -> None:
    """Makes "float32" mean IEEE's in this process: PyTorch's default lets cuDNN's convolutions round to 10 bits (TF32),
    and matrix products not, and a user's module may have asked for either."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False  # the older switch: PyTorch raises where it contradicts the newer ones
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.backends.cudnn.rnn.fp32_precision = "ieee"  # type: ignore[attr-defined]


class _Sum:
    """A sum that stays on the device of what is added until it is asked for."""

    def __init__(self) -> None:
        self.total: Tensor | None = None

    def add(self, value: Tensor) -> None:
        self.total = value if self.total is None else self.total + value

    def item(self) -> float:
        return 0.0 if self.total is None else float(self.total.item())
