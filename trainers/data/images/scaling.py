"""The normalization of images: what is taken off a pixel and what it is divided by, channel by channel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_WHITE = 255


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation per channel, of pixels in [0, 1]."""

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    is_given: bool = False
    """Whether the user has chosen it, instead of the training images."""

    @property
    def black(self) -> tuple[float, ...]:
        """The normalized value of a black pixel, per channel."""
        return tuple(-mean / std for mean, std in zip(self.mean, self.std, strict=True))

    def of_bytes(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Returns (shift, factor), float32 (channels,): a byte is normalized as (byte - shift) * factor.

        In this form no processor can fuse the two operations and round differently from another.
        """
        shift = torch.tensor([mean * _WHITE for mean in self.mean], device=device)
        return shift, torch.tensor([1 / (std * _WHITE) for std in self.std], device=device)

    def pixels(self, images: Tensor) -> Tensor:
        """Returns pixels in [0, 1] on the CPU, float32 (N, channels, height, width), of bytes or normalized images."""
        if images.dtype == torch.uint8:
            return images.cpu().float() / _WHITE
        shape = (1, -1, 1, 1)
        return images.cpu() * torch.tensor(self.std).view(shape) + torch.tensor(self.mean).view(shape)
