"""2x2 max pooling on a CPU in one pass, together with the convolution before it and the ReLU beside it.

PyTorch's own takes several passes over the largest tensors of a small network: the convolution's output is written,
read, searched, and its gradient filled with zeros before a quarter of it is written again. Where the convolution is
the network's first, its images need no gradient and its output is never needed whole: the kernel keeps it in registers.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from trainers.native import kernels

_LANES = 16  # as in kernels.cpp
_SIDES = (3, 5)  # of the convolutions that there are kernels for
_MOST_CHANNELS = 4  # of images: more are better off with a convolution made for many
_MOST_THREADS = 4  # the kernels run on one; PyTorch's operations on more are faster some day
_DTYPES = (torch.float32, torch.bfloat16)


def fuse_pooling(model: nn.Module, threads: int) -> nn.Module:
    """`model` with the same parameters, names and results (up to rounding), its poolings replaced by compiled ones.

    Looks into nn.Sequential alone, the only module whose forward pass is known to be its parts in their order. Changes
    nothing where there are no kernels, or more threads than they are good for.
    """
    if type(model) is nn.Sequential and threads <= _MOST_THREADS and kernels() is not None:
        _fuse(model, first=True)
    return model


def _fuse(sequence: nn.Sequential, first: bool) -> None:
    """first: whether the images themselves come in, which need no gradient."""
    parts = list(sequence)
    for at, part in enumerate(parts):
        if type(part) is nn.Sequential:
            _fuse(part, first and at == 0)
        elif first and at == 0 and isinstance(part, nn.Conv2d) and _is_plain(part):
            pooled, relu = _pooled(parts[1:])
            if pooled:
                _replace(sequence, 0, pooled, PooledConv2d(part, relu))
        elif type(sequence[at]) is not nn.Identity:
            pooled, relu = _pooled(parts[at:])
            if pooled:
                _replace(sequence, at, pooled - 1, Pool2d(relu))


def _pooled(parts: list[nn.Module]) -> tuple[int, bool]:
    """How many of the first parts are a 2x2 max pooling, with or without a ReLU on either side; whether it has one."""
    kinds = ["pool" if _is_plain_pooling(p) else "relu" if type(p) is nn.ReLU else "" for p in parts[:2]]
    if "pool" not in kinds:
        return 0, False
    if kinds[0] == "pool":
        return (2, True) if kinds[1:] == ["relu"] else (1, False)
    return (2, True) if kinds[0] == "relu" else (0, False)


def _replace(sequence: nn.Sequential, at: int, further: int, new: nn.Module) -> None:
    sequence[at] = new
    for index in range(at + 1, at + 1 + further):
        sequence[index] = nn.Identity()  # the names of what follows stay as they are


def _is_plain_pooling(part: nn.Module) -> bool:
    return (
        type(part) is nn.MaxPool2d
        and (part.kernel_size, part.stride, part.padding, part.dilation) == (2, 2, 0, 1)
        and not part.ceil_mode
        and not part.return_indices
        and not _is_hooked(part)
    )


def _is_plain(part: nn.Conv2d) -> bool:
    return (
        type(part) is nn.Conv2d
        and part.kernel_size in [(side, side) for side in _SIDES]
        and part.in_channels <= _MOST_CHANNELS
        and (part.stride, part.dilation, part.groups) == ((1, 1), (1, 1), 1)
        and part.padding_mode == "zeros"
        and not isinstance(part.padding, str)
        and part.padding[0] == part.padding[1]
        and not _is_hooked(part)
    )


def _is_hooked(part: nn.Module) -> bool:
    return bool(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks)


class PooledConv2d(nn.Module):
    """A convolution, 2x2 max pooling and, if `relu`, ReLU: (N, C, H, W) to (N, O, H'/2, W'/2), channels last.

    Shares the parameters of `conv`, under their names.
    """

    def __init__(self, conv: nn.Conv2d, relu: bool) -> None:
        super().__init__()
        self.weight, self.bias, self.relu = conv.weight, conv.bias, relu
        self.padding = int(conv.padding[0])

    def forward(self, images: Tensor) -> Tensor:
        dtype = _dtype(images)
        side = self.weight.shape[2] - 2 * self.padding
        fits = images.dtype == torch.float32 and min(images.shape[2:]) > side and not images.requires_grad
        if fits and dtype in _DTYPES and images.device.type == "cpu":
            how = _How(self.padding, self.relu, dtype, torch.is_grad_enabled())
            return cast(Tensor, _ConvPool.apply(images, self.weight, self.bias, how))
        pooled = F.max_pool2d(F.conv2d(images, self.weight, self.bias, padding=self.padding), 2)
        return F.relu(pooled) if self.relu else pooled


class Pool2d(nn.Module):
    """2x2 max pooling and, if `relu`, ReLU: (N, C, H, W) to (N, C, H/2, W/2), rounded down, channels last."""

    def __init__(self, relu: bool) -> None:
        super().__init__()
        self.relu = relu

    def forward(self, values: Tensor) -> Tensor:
        if values.device.type == "cpu" and values.dtype in _DTYPES and min(values.shape[2:]) > 1:
            return cast(Tensor, _Pool.apply(values, self.relu, torch.is_grad_enabled()))
        pooled = F.max_pool2d(values, 2)
        return F.relu(pooled) if self.relu else pooled


def _dtype(values: Tensor) -> torch.dtype:
    """What an operation that autocast knows would return."""
    device = values.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else values.dtype


class _How(NamedTuple):
    """dtype: of the result. keep: whether a gradient will be asked for."""

    padding: int
    relu: bool
    dtype: torch.dtype
    keep: bool


class _ConvPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, how: _How) -> Tensor:
        images = images.contiguous()
        n, channels, height, width = images.shape
        outputs, side = weight.shape[0], weight.shape[2]
        pooled = _empty((n, outputs, *(_half(s, side, how.padding) for s in (height, width))), how.dtype)
        which = _empty(pooled.shape, torch.uint8) if how.keep else None
        lanes = -(-outputs // _LANES) * _LANES
        weights, biases = weight.new_zeros(channels * side * side, lanes), weight.new_zeros(lanes)
        weights[:, :outputs] = weight.permute(1, 2, 3, 0).reshape(-1, outputs)
        if bias is not None:
            biases[:outputs] = bias
        sizes = (n, channels, height, width, how.padding, outputs)
        _call(f"conv_pool_{side}", how.dtype, images, weights, biases, pooled, which, *sizes, how.relu)
        ctx.save_for_backward(images, which)
        ctx.shape, ctx.sizes, ctx.dtype, ctx.has_bias = weight.shape, sizes, how.dtype, bias is not None
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, which = ctx.saved_tensors
        outputs, channels, side, _ = ctx.shape
        gradient = gradient.to(ctx.dtype).contiguous(memory_format=torch.channels_last)
        lanes = -(-outputs // _LANES) * _LANES
        weights, biases = images.new_zeros(channels * side * side, lanes), images.new_zeros(lanes)
        _call(f"conv_pool_backward_{side}", ctx.dtype, images, gradient, which, weights, biases, *ctx.sizes)
        weight = weights[:, :outputs].reshape(channels, side, side, outputs).permute(3, 0, 1, 2)
        return None, weight, biases[:outputs] if ctx.has_bias else None, None


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, relu: bool, keep: bool) -> Tensor:
        values = values.contiguous(memory_format=torch.channels_last)
        n, channels, height, width = values.shape
        pooled = _empty((n, channels, height // 2, width // 2), values.dtype)
        which = _empty(pooled.shape, torch.uint8) if keep else None
        ctx.sizes, ctx.dtype = (n, height, width, channels), values.dtype
        _call("pool", values.dtype, values, pooled, which, *ctx.sizes, relu)
        ctx.save_for_backward(which)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (which,) = ctx.saved_tensors
        n, height, width, channels = ctx.sizes
        gradient = gradient.to(ctx.dtype).contiguous(memory_format=torch.channels_last)
        values = _empty((n, channels, height, width), ctx.dtype)
        _call("pool_backward", ctx.dtype, gradient, which, values, *ctx.sizes)
        return values, None, None


def _half(size: int, side: int, padding: int) -> int:
    return (size + 2 * padding - side + 1) // 2


def _empty(shape: Any, dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=dtype, memory_format=torch.channels_last)


def _call(name: str, dtype: torch.dtype, *arguments: Any) -> None:
    """Calls a kernel, of `dtype`'s kind, with tensors by their addresses, None as null, and numbers."""
    function = getattr(kernels(), f"{name}_{str(dtype).removeprefix('torch.')}")
    function(*(ctypes.c_void_p(a.data_ptr()) if isinstance(a, Tensor) else a for a in arguments))
