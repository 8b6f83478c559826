"""Convolutions of K networks at once as Triton kernels: implicit matrix products, one network after the other.

cuDNN computes a convolution of K groups as K small ones, and copies each group's channels first. Here a program takes
a tile of one network's result: it gathers the patches that it needs and multiplies them (implicit GEMM: Chetlur et al.,
2014). Nothing is written but the result.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

MAX_ELEMENTS = 2**31  # of a tensor: the kernels count in 32 bits
PROGRAMS = 1024  # that fill an accelerator; with fewer, the sum of a weight gradient is split
MAX_PARTS = 32  # of that sum


def convolution(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """Computes K convolutions of stride 1; see `convolve` in trainers/fused/stacked_conv.py.

    A negative padding leaves out the edges. Raises ValueError for float64 and for tensors of 2**31 elements or more.
    """
    trials, maps, channels, size, _ = weight.shape
    images, _, height, width = x.shape
    high, wide = (side + 2 * padding - size + 1 for side in (height, width))
    shape = images, trials * maps, high, wide
    y = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    _check(x, y)
    packed = weight.permute(0, 1, 3, 4, 2).contiguous()
    tile = _tile(maps, 64)
    rows = 64 if x.dtype == torch.float32 else 128
    grid = (triton.cdiv(images * high * wide, rows), triton.cdiv(maps, tile), trials)
    _convolution[grid](
        x,
        packed,
        packed if bias is None else bias,
        y,
        images * high * wide,
        trials * maps,
        *x.stride(),
        HAS_BIAS=bias is not None,
        CHANNELS=channels,
        MAPS=maps,
        HEIGHT=height,
        WIDTH=width,
        HIGH=high,
        WIDE=wide,
        SIZE=size,
        PADDING=padding,
        ROWS=rows,
        TILE=tile,
        STEP=_tile(channels * size * size, 32),
        num_warps=4,
    )
    return y


def weight_gradient(x: Tensor, gradient: Tensor, size: int, padding: int, trials: int) -> Tensor:
    """Returns the gradients of the weights, float32 (K, O, C, size, size), from the result's: (N, K*O, ...).

    Raises ValueError for float64 and for tensors of 2**31 elements or more.
    """
    _check(x, gradient)
    images, _, height, width = x.shape
    maps, channels, (high, wide) = gradient.shape[1] // trials, x.shape[1] // trials, gradient.shape[2:]
    taps = channels * size * size
    tile, step = _tile(maps, 64), _tile(taps, 64)
    blocks = triton.cdiv(taps, step), triton.cdiv(maps, tile)
    rows, total = 64, images * high * wide
    parts = max(1, min(MAX_PARTS, triton.cdiv(PROGRAMS, blocks[0] * blocks[1] * trials), triton.cdiv(total, rows)))
    share = triton.cdiv(triton.cdiv(total, parts), rows) * rows
    sums = torch.empty(parts, trials, maps, size, size, channels, dtype=torch.float32, device=x.device)
    _weight_gradient[(*blocks, trials * parts)](
        x,
        gradient,
        sums,
        total,
        share,
        trials,
        *x.stride(),
        *gradient.stride(),
        CHANNELS=channels,
        MAPS=maps,
        HEIGHT=height,
        WIDTH=width,
        HIGH=high,
        WIDE=wide,
        SIZE=size,
        PADDING=padding,
        ROWS=rows,
        TILE=tile,
        STEP=step,
        num_warps=4,
    )
    return sums.sum(0).permute(0, 1, 4, 2, 3)


@triton.jit
def _patches(  # noqa: PLR0913 - a kernel takes numbers only
    x, rows, taps, lane, total, x_n, x_c, x_h, x_w,
    CHANNELS: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, HIGH: tl.constexpr, WIDE: tl.constexpr,
    SIZE: tl.constexpr, PADDING: tl.constexpr,
):  # fmt: skip
    """Returns what the kernel's taps see at some places of the result, (rows, taps); 0 beyond the edges."""
    image, place = rows // (HIGH * WIDE), rows % (HIGH * WIDE)
    channel, tap = taps % CHANNELS, taps // CHANNELS
    down = (place // WIDE)[:, None] + (tap // SIZE)[None, :] - PADDING
    right = (place % WIDE)[:, None] + (tap % SIZE)[None, :] - PADDING
    is_inside = (down >= 0) & (down < HEIGHT) & (right >= 0) & (right < WIDTH)
    is_there = (rows < total)[:, None] & (taps < CHANNELS * SIZE * SIZE)[None, :]
    at = (image * x_n)[:, None] + ((lane * CHANNELS + channel) * x_c)[None, :] + down * x_h + right * x_w
    return tl.load(x + at, mask=is_inside & is_there, other=0.0)


@triton.jit
def _convolution(  # noqa: PLR0913 - a kernel takes numbers only
    x, weight, bias, y, total, y_row, x_n, x_c, x_h, x_w,
    HAS_BIAS: tl.constexpr, CHANNELS: tl.constexpr, MAPS: tl.constexpr,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr, HIGH: tl.constexpr, WIDE: tl.constexpr,
    SIZE: tl.constexpr, PADDING: tl.constexpr, ROWS: tl.constexpr, TILE: tl.constexpr, STEP: tl.constexpr,
):  # fmt: skip
    lane = tl.program_id(2)
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    maps = tl.program_id(1) * TILE + tl.arange(0, TILE)
    count: tl.constexpr = CHANNELS * SIZE * SIZE
    sums = tl.zeros((ROWS, TILE), dtype=tl.float32)
    for first in range(0, count, STEP):
        taps = first + tl.arange(0, STEP)
        seen = _patches(
            x, rows, taps, lane, total, x_n, x_c, x_h, x_w, CHANNELS, HEIGHT, WIDTH, HIGH, WIDE, SIZE, PADDING
        )
        at = ((lane * MAPS + maps) * count)[None, :] + taps[:, None]
        weights = tl.load(weight + at, mask=(taps < count)[:, None] & (maps < MAPS)[None, :], other=0.0)
        sums = tl.dot(seen, weights, sums, input_precision="ieee")
    if HAS_BIAS:
        sums += tl.load(bias + lane * MAPS + maps, mask=maps < MAPS, other=0.0)[None, :].to(tl.float32)
    at = rows[:, None] * y_row + (lane * MAPS + maps)[None, :]
    tl.store(y + at, sums.to(y.dtype.element_ty), mask=(rows < total)[:, None] & (maps < MAPS)[None, :])


@triton.jit
def _weight_gradient(  # noqa: PLR0913 - a kernel takes numbers only
    x, gradient, sums, total, share, trials, x_n, x_c, x_h, x_w, g_n, g_c, g_h, g_w,
    CHANNELS: tl.constexpr, MAPS: tl.constexpr,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr, HIGH: tl.constexpr, WIDE: tl.constexpr,
    SIZE: tl.constexpr, PADDING: tl.constexpr, ROWS: tl.constexpr, TILE: tl.constexpr, STEP: tl.constexpr,
):  # fmt: skip
    lane, part = tl.program_id(2) % trials, tl.program_id(2) // trials
    taps = tl.program_id(0) * STEP + tl.arange(0, STEP)
    maps = tl.program_id(1) * TILE + tl.arange(0, TILE)
    count: tl.constexpr = CHANNELS * SIZE * SIZE
    sum_of_part = tl.zeros((TILE, STEP), dtype=tl.float32)
    end = tl.minimum(total, (part + 1) * share)
    for first in range(part * share, end, ROWS):
        rows = first + tl.arange(0, ROWS)
        image, place = rows // (HIGH * WIDE), rows % (HIGH * WIDE)
        at = image * g_n + (place // WIDE) * g_h + (place % WIDE) * g_w
        where = ((lane * MAPS + maps) * g_c)[:, None] + at[None, :]
        towards = tl.load(gradient + where, mask=(maps < MAPS)[:, None] & (rows < end)[None, :], other=0.0)
        seen = _patches(
            x, rows, taps, lane, end, x_n, x_c, x_h, x_w, CHANNELS, HEIGHT, WIDTH, HIGH, WIDE, SIZE, PADDING
        )
        sum_of_part = tl.dot(towards, seen, sum_of_part, input_precision="ieee")
    at = (((part * trials + lane) * MAPS + maps) * count)[:, None] + taps[None, :]
    tl.store(sums + at, sum_of_part, mask=(maps < MAPS)[:, None] & (taps < count)[None, :])


def _tile(count: int, most: int) -> int:
    """Returns a power of 2 for `count` things: at least 16, which a matrix product needs, and at most `most`."""
    return max(16, min(most, int(triton.next_power_of_2(count))))


def _check(*tensors: Tensor) -> None:
    for tensor in tensors:
        if tensor.dtype == torch.float64:
            raise ValueError("the kernels add up in float32")
        if tensor.numel() >= MAX_ELEMENTS:
            raise ValueError(f"a tensor of {tensor.numel():,} elements is too large for the kernels")
