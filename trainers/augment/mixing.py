"""Mixtures of two images of a batch, with the labels of both: mixup and cutmix.

The share of the first image is drawn once for a batch, as in the authors' programs, on the images' device: a step that
draws it there can be captured as a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Generator, Tensor

from trainers.config import MIXTURES, augmentation_parts
from trainers.criteria.losses import MixedLabels

# Beta(a, a), by its quantiles. mixup: a = 0.2, the authors' for large images (Zhang et al., 2018). cutmix: a = 1, the
# uniform distribution (Yun et al., 2019).
ALPHAS = {"mixup": 0.2, "cutmix": 1.0}
_QUANTILES = 1025

Mixing = Callable[[Tensor, Tensor], tuple[Tensor, MixedLabels]]


def make_mixing(name: str, generator: Generator, strength: float = 1.0) -> Mixing | None:
    """Returns what mixes a batch: one of the mixtures in the augmentation `name`, by chance; None where it has none.

    The result takes images (N, channels, height, width) and labels (N,), or (K, N / K) of K fused trials whose images
    take turns, and mixes each image with the one before it. strength: factor of the parameter of Beta.
    """
    kinds = [part for part in augmentation_parts(name) if part in MIXTURES]
    return _Mixing(kinds, generator, strength) if kinds and strength > 0 else None


class _Mixing:
    def __init__(self, kinds: list[str], generator: Generator, strength: float) -> None:
        self._kinds, self._generator = kinds, generator
        self._tables = [_beta_quantiles(ALPHAS[kind] * strength).to(generator.device) for kind in kinds]

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, MixedLabels]:
        """Mixes a batch; see `make_mixing`."""
        trials = labels.shape[0] if labels.dim() > 1 else 1
        others, numbers = images.roll(trials, 0), self._draw(4)
        mixtures = [self._mixed(kind, images, others, numbers, n) for n, kind in enumerate(self._kinds)]
        mixed, share = mixtures[0]
        if len(mixtures) > 1:  # decided on the device, as all else here
            is_first = numbers[3] < 0.5
            mixed = torch.where(is_first, mixed, mixtures[1][0])
            share = torch.where(is_first, share, mixtures[1][1])
        return mixed, MixedLabels(labels, labels.roll(1, -1), share)

    def _mixed(self, kind: str, images: Tensor, others: Tensor, numbers: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """Returns the mixture and the first images' share in it."""
        share = _looked_up(self._tables[n], numbers[0])
        if kind == "mixup":
            return torch.lerp(others, images, share), share
        outside = _outside_box(images, share, numbers[1], numbers[2])
        return torch.where(outside, images, others), outside.float().mean()

    def _draw(self, count: int) -> Tensor:
        return torch.rand(count, generator=self._generator, device=self._generator.device)


def _outside_box(images: Tensor, share: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Returns what lies outside a box of 1 - share of the area, cut off at the edges: bool (height, width).

    down, right: where its centre lies, in [0, 1].
    """
    height, width = images.shape[-2:]
    half = (1 - share).sqrt() / 2

    def inside(length: int, centre: Tensor) -> Tensor:
        places = (torch.arange(length, device=images.device) + 0.5) / length
        return (places - centre).abs() < half

    return ~(inside(height, down)[:, None] & inside(width, right)[None, :])


@cache
def _beta_quantiles(alpha: float) -> Tensor:
    from scipy.special import betaincinv

    return torch.from_numpy(betaincinv(alpha, alpha, torch.linspace(0, 1, _QUANTILES).double().numpy())).float()


def _looked_up(table: Tensor, number: Tensor) -> Tensor:
    """The value of a table over [0, 1] at a number, interpolated."""
    place = number * (len(table) - 1)
    low = place.long().clamp(max=len(table) - 2)
    return torch.lerp(table.take(low), table.take(low + 1), place - low)
