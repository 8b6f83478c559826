"""The layers of an architecture: output shapes, parameters and FLOPs, counted on the meta device."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models import build_model, trainable_parameters


class Layer(NamedTuple):
    """One layer of a network."""

    kind: str
    """The module's class and settings."""
    output: tuple[int, ...]
    """Shape of its output for one image, without the batch."""
    parameters: int
    """Number of its trainable parameters."""


class Summary(NamedTuple):
    """A network's layers and size."""

    layers: list[Layer]
    """The modules without children, in the order in which they run."""
    parameters: int
    """Number of trainable parameters of the whole network."""
    flops: int
    """Operations of one image's forward pass in matrix products and convolutions; a multiply-add counts as two."""


def summarize(name: str, input_shape: tuple[int, int, int], num_classes: int, **arch: Any) -> Summary:
    """Runs one image of `input_shape` (channels, height, width) through the architecture on the meta device.

    Nothing is allocated or computed. Raises ModelError for images that are too small, or a user's architecture that
    cannot be imported.
    """
    with torch.device("meta"):
        model = build_model(name, input_shape, num_classes, **arch).eval()
        image = torch.empty(1, *input_shape)
    layers: list[Layer] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        kind = f"{type(module).__name__}({module.extra_repr()})"
        if isinstance(output, Tensor):
            layers.append(Layer(kind, tuple(output.shape[1:]), trainable_parameters(module)))

    for module in model.modules():
        if not list(module.children()):
            module.register_forward_hook(note)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    return Summary(layers, trainable_parameters(model), counter.get_total_flops())
