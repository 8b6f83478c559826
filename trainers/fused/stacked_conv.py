"""Convolutions of several networks at once, in two forms that compute the same.

Which form is faster depends on the shape: cuDNN's grouped convolutions are slow with few channels per group, and the
patches that matrix products need take kernel size squared times the memory of the images. So an accelerator times both
forms for each shape, once per process, and uses the faster one. `python tests/benchmarks/gpu.py --only forms` shows
both times for the shapes of cnn and lenet5; there is no committed table yet, so no choice is fixed in the code.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from trainers.faults import is_out_of_memory

Form = Callable[[Tensor, Tensor, Tensor | None, int], Tensor]
TIMED_RUNS = 5  # of each form, after one that warms up

_fastest: dict[Any, Form] = {}  # measured in this process, by device, shapes, precision and whether there is a gradient


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """Computes K convolutions of stride 1 at once, each of its own group of C channels.

    x: (N, K*C, height, width). weight: (K, O, C, size, size). bias: (K, O). Returns (N, K*O, ...).
    """
    return _form(x, weight, padding)(x, weight, bias, padding)


def grouped(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """Computes `convolve` as one convolution of K groups."""
    return F.conv2d(x, weight.flatten(0, 1), bias.flatten() if bias is not None else None, 1, padding, 1, len(weight))


def products(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """Computes `convolve` as one batch of K matrix products, of the patches that the kernels see (im2col)."""
    dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
    y: Tensor = _Products.apply(x.to(dtype), weight.to(dtype), padding)
    return y if bias is None else y + bias.to(dtype).view(1, -1, 1, 1)


class _Products(torch.autograd.Function):
    """The matrix products, with gradients.

    Autograd would go back through `unfold`, which adds up overlapping patches one by one. The gradient of the images is
    a convolution too, of the padded gradient with the flipped kernels, so the same two functions compute it.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, padding: int) -> Tensor:
        columns = _columns(x, weight, padding)
        ctx.save_for_backward(columns if weight.requires_grad else None, weight)
        ctx.padding = padding
        return _multiply(columns, weight, x, padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        columns, weight = ctx.saved_tensors
        trials, maps, channels, size, _ = weight.shape
        x_gradient = weight_gradient = None
        if ctx.needs_input_grad[1]:
            flat = _split(gradient, trials).permute(1, 2, 0, 3, 4).flatten(2)
            weight_gradient = torch.bmm(flat, columns).view(trials, maps, channels, size, size)
        if ctx.needs_input_grad[0]:
            flipped = weight.flip(3, 4).transpose(1, 2)
            padding = size - 1 - ctx.padding
            x_gradient = _multiply(_columns(gradient, flipped, padding), flipped, gradient, padding)
        return x_gradient, weight_gradient, None


def _columns(x: Tensor, weight: Tensor, padding: int) -> Tensor:
    """Returns the patches of x: (K, N * height * width, C * size * size), with the output's height and width."""
    trials, _, _, size, _ = weight.shape
    padded = F.pad(x, [padding] * 4) if padding >= 0 else x[:, :, -padding:padding, -padding:padding]
    patches = _split(padded, trials).unfold(3, size, 1).unfold(4, size, 1)
    return patches.permute(1, 0, 3, 4, 2, 5, 6).flatten(4).flatten(1, 3)


def _split(x: Tensor, trials: int) -> Tensor:
    """Returns x (N, K*C, height, width) as (N, K, C, height, width)."""
    split: Tensor = x.unflatten(1, (trials, -1))  # type: ignore[no-untyped-call]
    return split


def _multiply(columns: Tensor, weight: Tensor, x: Tensor, padding: int) -> Tensor:
    trials, maps, _, size, _ = weight.shape
    height, width = (side + 2 * padding - size + 1 for side in x.shape[2:])
    # The product is written in channels_last order: the next layer needs no copy.
    y = torch.empty(len(x), height * width, trials, maps, dtype=columns.dtype, device=columns.device)
    torch.bmm(columns, weight.flatten(2).transpose(1, 2), out=y.flatten(0, 1).transpose(0, 1))
    return y.view(len(x), height, width, trials * maps).permute(0, 3, 1, 2)


def _form(x: Tensor, weight: Tensor, padding: int) -> Form:
    """Returns the faster form for these shapes."""
    if not x.is_cuda:
        return grouped  # no timing: results must not depend on the noise of a measurement
    passes = torch.is_grad_enabled(), x.requires_grad
    key = (x.device, x.shape, weight.shape, padding, torch.is_autocast_enabled("cuda"), passes)
    if key not in _fastest and not torch.cuda.is_current_stream_capturing():
        _fastest[key] = min((grouped, products), key=partial(seconds, x, weight, padding))
    return _fastest.get(key, grouped)


def seconds(x: Tensor, weight: Tensor, padding: int, form: Form) -> float:
    """Returns the shortest time of a pass through `form`, with the backward pass where gradients are on.

    The result is infinite where the memory is not enough.
    """
    try:
        return min([_seconds(x, weight, padding, form) for _ in range(1 + TIMED_RUNS)][1:])
    except RuntimeError as error:
        if is_out_of_memory(error):
            return math.inf
        raise


def _seconds(x: Tensor, weight: Tensor, padding: int, form: Form) -> float:
    inputs = [value.detach().requires_grad_() for value in ((weight, x) if x.requires_grad else (weight,))]
    _wait(x)
    started = time.perf_counter()
    y = form(inputs[-1] if x.requires_grad else x, inputs[0], None, padding)
    if torch.is_grad_enabled():
        torch.autograd.grad(y, inputs, torch.ones_like(y))
    _wait(x)
    return time.perf_counter() - started


def _wait(x: Tensor) -> None:
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
