"""The order in which training images are seen."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


class ImageOrder:
    """Draws an epoch's order of the images from a generator on the CPU.

    weights: "none" has each image once. "balanced" draws as many images with replacement, all classes equally often,
    as torch's WeightedRandomSampler does with one over the class's count. labels: int64 (N,), of all images.
    """

    def __init__(self, labels: Tensor, weights: str = "none") -> None:
        self._count = len(labels)
        self._by_class = labels.cpu().argsort(stable=True) if weights == "balanced" else None
        if self._by_class is not None:
            counts = torch.bincount(labels.cpu())
            self._starts, self._counts = (counts.cumsum(0) - counts)[counts > 0], counts[counts > 0]

    def draw(self, generator: Generator) -> Tensor:
        """Returns indices of images, int64 (N,)."""
        if self._by_class is None:
            return torch.randperm(self._count, generator=generator)
        classes = torch.randint(len(self._counts), (self._count,), generator=generator)
        places = torch.rand(self._count, generator=generator, dtype=torch.float64) * self._counts[classes]
        return self._by_class[self._starts[classes] + places.long()]
