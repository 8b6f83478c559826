"""2x2 max pooling on a CPU in one pass, together with the convolution before it and the activation beside it.

PyTorch makes several passes over the largest tensors of a small network: it writes the convolution's output, reads it
to find the maxima, fills its gradient with zeros, and then writes a quarter of that again. Where the convolution is the
network's first, its images need no gradient and its output is never needed whole: the kernel keeps it in registers.

Against PyTorch's operations in the same order, on one thread, training is faster by a factor of 1.17 (cnn, float32),
1.23 (cnn, bf16), 1.12 (lenet5, float32) and 1.13 (lenet5, bf16): medians of five interleaved epochs of 6,400 images.
`python tests/benchmarks/run.py` measures the whole engine, of which this is a part, against a plain PyTorch loop.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from trainers.cpu.native import kernels

_VECTOR_WIDTH = 16  # floats per vector, as in kernels.cpp
_KERNEL_SIDES = (3, 5)  # of the convolutions that have a kernel
_MAX_INPUT_CHANNELS = 4  # with more, a convolution made for many channels is faster
_MAX_THREADS = 2  # the kernels use one thread: with more, PyTorch's operations overtake them
_DTYPES = (torch.float32, torch.bfloat16)
# Numbers as in kernels.cpp. A non-decreasing activation commutes with the maximum: it may stand on either side ...
_NON_DECREASING: dict[type[nn.Module], int] = {nn.ReLU: 1, nn.LeakyReLU: 2, nn.ELU: 3, nn.Tanh: 4}
# ... while these fall before they rise: they must come before the pooling.
_FALLING_THEN_RISING: dict[type[nn.Module], int] = {nn.SiLU: 5, nn.GELU: 6}
_ALPHA_NAMES: dict[type[nn.Module], str] = {nn.LeakyReLU: "negative_slope", nn.ELU: "alpha"}
_WITHOUT_SLOPES = (0, 1)  # no activation, and ReLU: its slope is 0 where `which` says so, else 1


def fuse_pooling(model: nn.Module, threads: int) -> nn.Module:
    """Replaces the network's poolings by compiled ones; parameters, names and results stay the same, up to rounding.

    Returns the network. Looks into nn.Sequential only, because no other module is known to run its parts in their
    order. Changes nothing where there are no kernels, or more than `_MAX_THREADS` threads.
    """
    if type(model) is nn.Sequential and threads <= _MAX_THREADS and kernels() is not None:
        _fuse(model, first=True)
    return model


def _fuse(sequence: nn.Sequential, first: bool) -> None:
    """Replaces the poolings of a sequence. first: whether its input is the images, which need no gradient."""
    parts = list(sequence)
    for at, part in enumerate(parts):
        if type(part) is nn.Sequential:
            _fuse(part, first and at == 0)
        elif first and at == 0 and isinstance(part, nn.Conv2d) and _is_plain(part):
            if pooling := _pooling(parts[1:]):
                _replace(sequence, 0, len(pooling), PooledConv2d(part, *pooling))
        elif type(sequence[at]) is not nn.Identity and (pooling := _pooling(parts[at:])):
            _replace(sequence, at, len(pooling) - 1, Pool2d(*pooling))


def _pooling(parts: list[nn.Module]) -> list[nn.Module]:
    """Returns the first parts that form a 2x2 max pooling, with an activation beside it if there is one; else none."""
    two = parts[:2]
    if len(two) == 2 and any(_is_plain_pooling(part) for part in two) and not any(_is_hooked(part) for part in two):
        before = _is_plain_pooling(two[1])
        if _activation(two[0] if before else two[1], before) is not None:
            return two
    return parts[:1] if parts and _is_plain_pooling(parts[0]) else []


def _activation(layer: nn.Module, before: bool) -> tuple[int, float] | None:
    """Returns the activation's number and argument, None without a kernel. before: whether it precedes the pooling."""
    kind = type(layer)
    if kind in _NON_DECREASING:
        alpha = float(getattr(layer, _ALPHA_NAMES[kind])) if kind in _ALPHA_NAMES else 0.0
        return (_NON_DECREASING[kind], alpha) if alpha >= 0 else None
    if kind in _FALLING_THEN_RISING and before and getattr(layer, "approximate", "none") == "none":
        return _FALLING_THEN_RISING[kind], 0.0
    return None


def _replace(sequence: nn.Sequential, at: int, further: int, new: nn.Module) -> None:
    sequence[at] = new
    for index in range(at + 1, at + 1 + further):
        sequence[index] = nn.Identity()  # later parts keep their names in the state_dict


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
        and part.kernel_size in [(side, side) for side in _KERNEL_SIDES]
        and part.in_channels <= _MAX_INPUT_CHANNELS
        and (part.stride, part.dilation, part.groups) == ((1, 1), (1, 1), 1)
        and part.padding_mode == "zeros"
        and not isinstance(part.padding, str)
        and part.padding[0] == part.padding[1]
        and not _is_hooked(part)
    )


def _is_hooked(part: nn.Module) -> bool:
    return bool(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks)


class PooledConv2d(nn.Module):
    """A convolution, 2x2 max pooling and the activation beside it: (N, C, H, W) to (N, O, H'/2, W'/2), channels last.

    H' and W' are the sides of the convolution's output; halves are rounded down. Shares the parameters of `conv`, under
    their names. pooling: the layers after it, in their order.
    """

    def __init__(self, conv: nn.Conv2d, *pooling: nn.Module) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.padding = int(conv.padding[0])
        self.pooling = _Pooling(*pooling)

    def forward(self, images: Tensor) -> Tensor:
        dtype = _dtype(images)
        side = self.weight.shape[2] - 2 * self.padding
        parts = [part for part in (images, self.weight, self.bias) if part is not None]
        fits = all(part.dtype == torch.float32 and part.device.type == "cpu" for part in parts) and images.dim() == 4
        if fits and dtype in _DTYPES and min(images.shape[2:]) > side and not images.requires_grad:
            how = self.pooling.how(dtype, self.padding)
            return cast(Tensor, _ConvPool.apply(images, self.weight, self.bias, how))
        return self.pooling.plain(F.conv2d(images, self.weight, self.bias, padding=self.padding))


class Pool2d(nn.Module):
    """2x2 max pooling and the activation beside it: (N, C, H, W) to (N, C, H/2, W/2), rounded down, channels last."""

    def __init__(self, *pooling: nn.Module) -> None:
        super().__init__()
        self.pooling = _Pooling(*pooling)

    def forward(self, values: Tensor) -> Tensor:
        fits = values.device.type == "cpu" and values.dtype in _DTYPES and values.dim() == 4
        if fits and min(values.shape[2:]) > 1:
            return cast(Tensor, _Pool.apply(values, self.pooling.how(values.dtype)))
        return self.pooling.plain(values)


class _Pooling:
    """A 2x2 max pooling and the activation beside it, in their order."""

    def __init__(self, *parts: nn.Module) -> None:
        self.parts = parts
        activations = [_activation(part, before=True) for part in parts if type(part) is not nn.MaxPool2d]
        self.activation = next((found for found in activations if found), (0, 0.0))

    def how(self, dtype: torch.dtype, padding: int = 0) -> _How:
        return _How(dtype, padding, *self.activation, torch.is_grad_enabled())

    def plain(self, values: Tensor) -> Tensor:
        for part in self.parts:
            values = part(values)
        return values


def _dtype(values: Tensor) -> torch.dtype:
    """Returns the type that an operation under autocast would return."""
    device = values.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else values.dtype


class _How(NamedTuple):
    """The settings of one call of a kernel."""

    dtype: torch.dtype
    """Type of the result."""
    padding: int
    activation: int
    """Number as in kernels.cpp."""
    alpha: float
    """Argument of the activation, as in kernels.cpp."""
    keep: bool
    """Whether to keep what the backward pass needs."""

    def outputs(self, *shape: int) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Allocates the pooled values, their places in the windows, and the slopes of the activation."""
        slopes = self.keep and self.activation not in _WITHOUT_SLOPES
        return (
            _empty(shape, self.dtype),
            _empty(shape, torch.uint8) if self.keep else None,
            _empty(shape, self.dtype) if slopes else None,
        )


class _ConvPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, how: _How) -> Tensor:
        images = images.contiguous()
        n, channels, height, width = images.shape
        outputs, side = weight.shape[0], weight.shape[2]
        weights, biases = _padded_zeros(weight.shape)
        weights[:, :outputs] = weight.permute(1, 2, 3, 0).reshape(-1, outputs)
        if bias is not None:
            biases[:outputs] = bias
        sizes = (n, channels, height, width, how.padding, outputs)
        results = how.outputs(n, outputs, *(_pooled_side(size, side, how.padding) for size in (height, width)))
        _call(f"conv_pool_{side}", how.dtype, images, weights, biases, *results, *sizes, how.activation, how.alpha)
        pooled, which, slopes = results
        ctx.save_for_backward(images, which, slopes)
        ctx.shape, ctx.sizes, ctx.dtype, ctx.has_bias = weight.shape, sizes, how.dtype, bias is not None
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, which, slopes = ctx.saved_tensors
        outputs, channels, side, _ = ctx.shape
        gradient = gradient.to(ctx.dtype).contiguous(memory_format=torch.channels_last)
        weights, biases = _padded_zeros(ctx.shape)
        _call(f"conv_pool_backward_{side}", ctx.dtype, images, gradient, which, slopes, weights, biases, *ctx.sizes)
        weight = weights[:, :outputs].reshape(channels, side, side, outputs).permute(3, 0, 1, 2)
        return None, weight, biases[:outputs] if ctx.has_bias else None, None


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, how: _How) -> Tensor:
        values = values.contiguous(memory_format=torch.channels_last)
        n, channels, height, width = values.shape
        ctx.sizes, ctx.dtype = (n, height, width, channels), how.dtype
        results = how.outputs(n, channels, height // 2, width // 2)
        _call("pool", how.dtype, values, *results, *ctx.sizes, how.activation, how.alpha)
        pooled, *kept = results
        ctx.save_for_backward(*kept)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        which, slopes = ctx.saved_tensors
        n, height, width, channels = ctx.sizes
        gradient = gradient.to(ctx.dtype).contiguous(memory_format=torch.channels_last)
        values = _empty((n, channels, height, width), ctx.dtype)
        _call("pool_backward", ctx.dtype, gradient, which, slopes, values, *ctx.sizes)
        return values, None


def _padded_zeros(shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Allocates weights and biases, or their gradients, in the layout of kernels.cpp: zeros."""
    outputs, channels, side, _ = shape
    padded = -(-outputs // _VECTOR_WIDTH) * _VECTOR_WIDTH
    return torch.zeros(channels * side * side, padded), torch.zeros(padded)


def _pooled_side(size: int, side: int, padding: int) -> int:
    return (size + 2 * padding - side + 1) // 2


def _empty(shape: Any, dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=dtype, memory_format=torch.channels_last)


def _call(name: str, dtype: torch.dtype, *arguments: Any) -> None:
    """Calls a kernel for `dtype`: tensors are passed by address, None as null, numbers as they are."""
    function = getattr(kernels(), f"{name}_{str(dtype).removeprefix('torch.')}")
    function(*(_as_c(argument) for argument in arguments))


def _as_c(argument: Any) -> Any:
    if isinstance(argument, Tensor):
        return ctypes.c_void_p(argument.data_ptr())
    return ctypes.c_float(argument) if isinstance(argument, float) else argument
