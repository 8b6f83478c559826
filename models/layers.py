"""Layers that several architectures use: activations, pooled activations, and dropout with its own generator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.errors import ModelError
from models.names import ACTIVATIONS

_ACTIVATION_LAYERS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
_NON_DECREASING = ("relu", "leaky_relu", "elu", "tanh")


def activation_layer(name: str) -> nn.Module:
    """Makes the activation called `name`; raises ModelError with the choices for another name."""
    if name not in _ACTIVATION_LAYERS:
        raise ModelError(f"activation {name!r}: choose from {', '.join(ACTIVATIONS)}")
    return _ACTIVATION_LAYERS[name]()


def at_least(name: str, side: int, input_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Returns `input_shape` (channels, height, width); raises ModelError where a side has less than `side` pixels."""
    _, height, width = input_shape
    if min(height, width) < side:
        raise ModelError(f"{name}: needs images of at least {side}x{side}, these are {height}x{width}")
    return input_shape


def pooled_activation(name: str) -> list[nn.Module]:
    """Makes an activation and 2x2 max pooling, in the cheaper order: (N, C, H, W) to (N, C, H // 2, W // 2).

    A non-decreasing activation commutes with the maximum, so pooling first is the same function with a quarter of the
    activations. gelu and silu fall before they rise: they come before the pooling.
    """
    layers = [activation_layer(name), nn.MaxPool2d(2)]
    return layers[::-1] if name in _NON_DECREASING else layers


class Normalized(nn.Module):
    """A network with its normalization: pixels in [0, 1], (N, channels, height, width), to logits (N, classes).

    mean, std: per channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.network((pixels - self.mean) / self.std)
        return logits


class Dropout(nn.Module):
    """Dropout (Srivastava et al., 2014) that draws from a given generator, or from torch's global one before that.

    The trainer gives it one (trainers/generators.py): a trial's random numbers then depend on its own seed alone, not
    on what else its process has run. Input and output have the same, arbitrary shape. p: probability that a value
    becomes 0. Raises ModelError for a p outside [0, 1).
    """

    stacked_as = nn.Dropout  # the layer that fused trials compute in its place (trainers/fused/stacked.py)

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0.0 <= p < 1.0:
            raise ModelError(f"dropout {p}: must be at least 0 and under 1")
        self.p = p
        self.generator: torch.Generator | None = None

    def use_random_generator(self, generator: torch.Generator) -> None:
        """Draws from this generator from now on."""
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return x
        if x.device.type != "cpu":
            keep = torch.empty_like(x).bernoulli_(1.0 - self.p, generator=self.generator)
            return x * keep.div_(1.0 - self.p)
        # A CPU draws one number after another, so each draw of 64 bits serves four elements; p is exact to 1/65,536.
        bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None, generator=self.generator)
        kept = min(max(round((1.0 - self.p) * 2**16), 1), 2**16 - 1)
        keep = bits.view(torch.int16)[: x.numel()].view(x.shape) < kept - 2**15
        return x * keep.to(x.dtype).mul_(2**16 / kept)

    def extra_repr(self) -> str:
        return f"p={self.p}"
