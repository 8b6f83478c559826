"""Images that are drawn anew each time they are read:

hpo run --model lenet5 --dataset tests/examples/shaken_digits.py:make --stream
"""

from __future__ import annotations

from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torchvision.transforms import v2


class ShakenDigits(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Handwritten digits, 8x8, turned and moved at random."""

    def __init__(self, images: Tensor, labels: list[int]) -> None:
        self.images, self.labels = images, labels
        self.shake = v2.RandomAffine(degrees=15, translate=(0.1, 0.1))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, at: int) -> tuple[Tensor, int]:
        shaken: Tensor = self.shake(self.images[at])
        return shaken.clamp(0, 1), self.labels[at]


def make() -> dict[str, Any]:
    """Only the training images are shaken."""
    digits = load_digits()
    images, labels = torch.tensor(digits.images / 16).float().unsqueeze(1), digits.target.tolist()
    pairs = list(zip(images, labels, strict=True))
    return {
        "train": ShakenDigits(images[:1200], labels[:1200]),
        "validation": pairs[1200:1500],
        "test": pairs[1500:],
    }
