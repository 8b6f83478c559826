"""An architecture layer by layer: output shapes, parameters and FLOPs, counted on the meta device."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models import build_model, trainable_parameters


class Layer(NamedTuple):
    """kind: the module and its settings. output: its shape without the batch. parameters: trainable ones."""

    kind: str
    output: tuple[int, ...]
    parameters: int


class Summary(NamedTuple):
    """layers: the modules without parts, in the order they run. parameters: of the whole network, trainable.
    flops: of one image's forward pass, two to a multiply-add, in matrix products and convolutions."""

    layers: list[Layer]
    parameters: int
    flops: int


def summarize(name: str, input_shape: tuple[int, int, int], num_classes: int, **arch: Any) -> Summary:
    """Runs one image through architecture `name` on the meta device: nothing is allocated or computed.

    Raises ValueError for images too small, or a user's architecture that cannot be imported.
    """
    with torch.device("meta"):
        model = build_model(name, input_shape, num_classes, **arch).eval()
        image = torch.empty(1, *input_shape)
    layers: list[Layer] = []

    def note(module: nn.Module, _: Any, output: Tensor) -> None:
        kind = f"{type(module).__name__}({module.extra_repr()})"
        layers.append(Layer(kind, tuple(output.shape[1:]), trainable_parameters(module)))

    for module in model.modules():
        if not list(module.children()):
            module.register_forward_hook(note)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    return Summary(layers, trainable_parameters(model), counter.get_total_flops())
