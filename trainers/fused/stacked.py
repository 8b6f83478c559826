"""Networks of one shape as one network, so that an accelerator has enough to do (HFTA: Wang et al., MLSys 2021).

Weights are stacked, convolutions grouped and matrix products batched. Maps are (N, K*channels, height, width), vectors
(K, N, features), for K trials of N images each. Trials never mix: a NaN of one stays with that one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.fused import kernels
from trainers.fused.stacked_conv import convolve

Draw = Callable[[Sequence[int]], Tensor]
# These classes exactly: a subclass may do anything.
_ELEMENTWISE = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Identity)
_POOLING = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


def is_stackable(model: nn.Module) -> bool:
    """Tells whether the network is a plain nn.Sequential of layers that have a stacked form."""
    if type(model) is not nn.Sequential or not all(parameter.requires_grad for parameter in model.parameters()):
        return False
    # A layer that is used in two places would get two sets of weights.
    return len(set(model)) == len(model) and all(_form(layer) is not None for layer in model)


class StackedNet:
    """Computes K networks as one; `parameters` and `buffers` hold theirs by name, (K, ...) each.

    models: networks of the same layers and shapes. draw: returns uniform numbers in [0, 1) of a shape, for dropout.
    Raises ValueError where the networks cannot be stacked.
    """

    def __init__(self, models: Sequence[nn.Module], draw: Draw) -> None:
        shapes = {tuple((name, value.shape) for name, value in model.state_dict().items()) for model in models}
        if len(shapes) > 1 or not all(is_stackable(model) for model in models):
            raise ValueError("these networks cannot be stacked: they must be plain nn.Sequentials of one shape")
        self.template, self.draw = models[0], draw
        self.rates = {
            name: torch.tensor(rates, device=_device(models[0]))
            for name, layer in models[0].named_children()
            if _is_dropout(layer) and any(rates := [_rate(model.get_submodule(name)) for model in models])
        }
        self.trials = len(models)
        self.buffers = {
            name: torch.stack([model.get_buffer(name) for model in models]) for name, _ in models[0].named_buffers()
        }
        self.parameters = {
            name: torch.stack([model.get_parameter(name).detach().contiguous() for model in models]).requires_grad_()
            for name, _ in models[0].named_parameters()
        }

    def __call__(self, images: Tensor, training: bool) -> Tensor:
        """Returns the logits (K, N, classes) of images (N, K*channels, height, width)."""
        x = images
        for name, layer in self.template.named_children():
            form = _form(layer)
            assert form is not None
            x = form(self, name, layer, x, training)
        return x if x.dim() == 3 else self.vectors(x.flatten(1))

    def keep(self, trials: Sequence[int]) -> None:
        """Goes on with these trials only, in this order."""
        index = torch.tensor(trials, device=_device(self.template))
        self.trials = len(trials)
        self.rates = {name: rates[index] for name, rates in self.rates.items()}
        self.buffers = {name: values[index] for name, values in self.buffers.items()}
        self.parameters = {name: p.detach()[index].requires_grad_() for name, p in self.parameters.items()}

    def state(self, trial: int) -> dict[str, Tensor]:
        """Returns a copy of one trial's weights on the CPU, as its network's state_dict."""
        stacked = {**self.parameters, **self.buffers}
        return {name: stacked[name][trial].detach().to("cpu", copy=True) for name in self.template.state_dict()}

    @torch.no_grad()
    def load(self, trial: int, state: Mapping[str, Tensor]) -> None:
        """Loads one trial's state_dict; raises RuntimeError where it is of another architecture."""
        stacked = {**self.parameters, **self.buffers}
        if {name: value.shape for name, value in state.items()} != {k: v.shape[1:] for k, v in stacked.items()}:
            raise RuntimeError("error in loading state_dict: the weights are of another architecture")
        for name, value in state.items():
            stacked[name][trial].copy_(value)

    def vectors(self, x: Tensor) -> Tensor:
        """Returns x (N, K*features) as (K, N, features)."""
        return x.view(len(x), self.trials, -1).transpose(0, 1)

    def per_trial(self, values: Tensor, x: Tensor) -> Tensor:
        """Returns one number per trial, (K,), in a shape that multiplies x."""
        if x.dim() == 3:
            return values.view(-1, 1, 1)
        return values.repeat_interleave(x.shape[1] // self.trials).view(1, -1, 1, 1)


Form = Callable[[StackedNet, str, Any, Tensor, bool], Tensor]


def _form(layer: Any) -> Form | None:
    """Returns how K of this layer are computed at once; None where there is no such form."""
    kind = type(layer)
    if kind is nn.MaxPool2d and _is_plain_pooling(layer):
        return _max_pool
    if kind in _ELEMENTWISE or (kind in _POOLING and not getattr(layer, "return_indices", False)):
        return lambda net, name, layer, x, training: layer(x)
    if kind is nn.Flatten and (layer.start_dim, layer.end_dim) == (1, -1):
        return lambda net, name, layer, x, training: net.vectors(x.flatten(1)) if x.dim() == 4 else x
    if kind is nn.Linear:
        return _linear
    if kind is nn.Conv2d and _is_plain(layer):
        return _conv
    if kind in (nn.BatchNorm1d, nn.BatchNorm2d) and layer.affine and layer.momentum and layer.track_running_stats:
        return _batch_norm
    return _dropout if _is_dropout(layer) else None


def _is_plain(layer: nn.Conv2d) -> bool:
    square = len(set(layer.kernel_size)) == 1 and isinstance(layer.padding, tuple) and len(set(layer.padding)) == 1
    usual = layer.stride == (1, 1) and layer.dilation == (1, 1) and layer.groups == 1
    return square and usual and layer.padding_mode == "zeros"


def _linear(net: StackedNet, name: str, layer: nn.Linear, x: Tensor, training: bool) -> Tensor:
    weight, bias = net.parameters[f"{name}.weight"].transpose(1, 2), net.parameters.get(f"{name}.bias")
    return torch.bmm(x, weight) if bias is None else torch.baddbmm(bias.unsqueeze(1), x, weight)


def _conv(net: StackedNet, name: str, layer: nn.Conv2d, x: Tensor, training: bool) -> Tensor:
    padding = layer.padding[0]
    assert isinstance(padding, int)
    return convolve(x, net.parameters[f"{name}.weight"], net.parameters.get(f"{name}.bias"), padding)


def _max_pool(net: StackedNet, name: str, layer: nn.MaxPool2d, x: Tensor, training: bool) -> Tensor:
    assert isinstance(layer.kernel_size, int)
    if x.is_cuda and kernels.available():
        from trainers.fused.kernels import pooling

        if x.numel() < pooling.MAX_ELEMENTS and layer.kernel_size <= pooling.MAX_SIZE:
            return pooling.max_pool(x, layer.kernel_size)
    y: Tensor = layer(x)
    return y


def _is_plain_pooling(layer: nn.MaxPool2d) -> bool:
    """Tells whether its windows are squares that touch each other."""
    is_square = isinstance(layer.kernel_size, int) and layer.stride == layer.kernel_size
    return is_square and (layer.padding, layer.dilation, layer.ceil_mode, layer.return_indices) == (0, 1, False, False)


def _batch_norm(net: StackedNet, name: str, layer: nn.BatchNorm2d, x: Tensor, training: bool) -> Tensor:
    stacked = {**net.parameters, **net.buffers}
    weight, bias, mean, variance = (
        stacked[f"{name}.{key}"].flatten() for key in ("weight", "bias", "running_mean", "running_var")
    )
    if training:
        net.buffers[f"{name}.num_batches_tracked"] += 1
    flat = x if x.dim() == 4 else x.transpose(0, 1).flatten(1)
    y = F.batch_norm(flat, mean, variance, weight, bias, training, layer.momentum or 0.0, layer.eps)
    return y if x.dim() == 4 else net.vectors(y)


def _dropout(net: StackedNet, name: str, layer: nn.Module, x: Tensor, training: bool) -> Tensor:
    if not training or name not in net.rates:
        return x
    rates = net.per_trial(net.rates[name], x)
    kept = (net.draw(x.shape) >= rates) / (1 - rates).clamp(min=1e-12)  # at a rate of 1 nothing is kept
    return x * kept.to(x.dtype)


def _is_dropout(layer: nn.Module) -> bool:
    """Tells whether the layer is torch's dropout, or of a class that says itself (no parent does) that it is the same
    but for the generator."""
    return type(layer) is nn.Dropout or vars(type(layer)).get("stacked_as") is nn.Dropout


def _rate(layer: nn.Module) -> float:
    return float(layer.p)  # type: ignore[arg-type]


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
