"""Convolutions of several networks at once, in two forms that compute the same; an accelerator times both.

Which is faster depends on the shape: cuDNN's grouped convolutions are poor at few channels, and the columns of batched
products take kernel size squared times the memory.
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
TIMED = 5  # runs of each form

fastest: dict[Any, Form] = {}  # by device, shapes and type, what was measured in this process


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """K convolutions of stride 1 in one. x: (N, K*C, height, width). weight: (K, O, C, size, size). bias: (K, O).

    Returns (N, K*O, ...), each group of C channels convolved with its own weights.
    """
    return _form(x, weight, padding)(x, weight, bias, padding)


def grouped(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """One convolution of K groups."""
    return F.conv2d(x, weight.flatten(0, 1), bias.flatten() if bias is not None else None, 1, padding, 1, len(weight))


def products(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """K matrix products in one, of the patches that the kernels see."""
    dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
    y: Tensor = _Products.apply(x.to(dtype), weight.to(dtype), padding)
    return y if bias is None else y + bias.to(dtype).view(1, -1, 1, 1)


class _Products(torch.autograd.Function):
    """The gradient of the images is a convolution too: of the padded gradient, with the kernels turned around."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, padding: int) -> Tensor:
        columns = _columns(x, weight, padding)
        ctx.save_for_backward(columns if weight.requires_grad else None, weight)
        ctx.padding = padding
        return _multiply(columns, weight, x, padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        columns, weight = ctx.saved_tensors
        lanes, maps, channels, size, _ = weight.shape
        of_x = of_weight = None
        if ctx.needs_input_grad[1]:
            flat = _split(gradient, lanes).permute(1, 2, 0, 3, 4).flatten(2)
            of_weight = torch.bmm(flat, columns).view(lanes, maps, channels, size, size)
        if ctx.needs_input_grad[0]:
            turned = weight.flip(3, 4).transpose(1, 2)
            padding = size - 1 - ctx.padding
            of_x = _multiply(_columns(gradient, turned, padding), turned, gradient, padding)
        return of_x, of_weight, None


def _columns(x: Tensor, weight: Tensor, padding: int) -> Tensor:
    """The patches of x: (K, N * height * width, C * size * size), of the output's height and width."""
    lanes, _, _, size, _ = weight.shape
    padded = F.pad(x, [padding] * 4) if padding >= 0 else x[:, :, -padding:padding, -padding:padding]
    patches = _split(padded, lanes).unfold(3, size, 1).unfold(4, size, 1)
    return patches.permute(1, 0, 3, 4, 2, 5, 6).flatten(4).flatten(1, 3)


def _split(x: Tensor, lanes: int) -> Tensor:
    """(N, K*C, height, width) as (N, K, C, height, width)."""
    split: Tensor = x.unflatten(1, (lanes, -1))  # type: ignore[no-untyped-call]
    return split


def _multiply(columns: Tensor, weight: Tensor, x: Tensor, padding: int) -> Tensor:
    lanes, maps, _, size, _ = weight.shape
    height, width = (side + 2 * padding - size + 1 for side in x.shape[2:])
    # Written where channels_last has it: what comes next takes it as it is.
    y = torch.empty(len(x), height * width, lanes, maps, dtype=columns.dtype, device=columns.device)
    torch.bmm(columns, weight.flatten(2).transpose(1, 2), out=y.flatten(0, 1).transpose(0, 1))
    return y.view(len(x), height, width, lanes * maps).permute(0, 3, 1, 2)


def _form(x: Tensor, weight: Tensor, padding: int) -> Form:
    """On a CPU the one that was found to be faster there, so that nothing depends on a measurement's luck."""
    if not x.is_cuda:
        return grouped
    passes = torch.is_grad_enabled(), x.requires_grad
    key = (x.device, x.shape, weight.shape, padding, torch.is_autocast_enabled("cuda"), passes)
    if key not in fastest and not torch.cuda.is_current_stream_capturing():
        fastest[key] = min((grouped, products), key=partial(seconds, x, weight, padding))
    return fastest.get(key, grouped)


def seconds(x: Tensor, weight: Tensor, padding: int, form: Form) -> float:
    """The shortest time of a pass through `form`, and back where gradients are asked for; infinite where there is not
    memory enough."""
    try:
        return min([_seconds(x, weight, padding, form) for _ in range(1 + TIMED)][1:])
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
