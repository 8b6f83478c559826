"""Max pooling in windows that do not overlap, as Triton kernels.

PyTorch's kernel writes the place of each maximum in 8 bytes and adds up gradients with atomic operations. Here it takes
one byte, and each gradient is written once.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

MAX_SIZE = 11  # of a window: the place in it is one byte
MAX_ELEMENTS = 2**31  # of a tensor: the kernels count in 32 bits
_TILE, _CHANNELS = 2048, 512  # elements of a program, and channels among them at most


def max_pool(x: Tensor, size: int) -> Tensor:
    """Returns the maxima of windows of size x size pixels, as torch's max_pool2d does with stride `size`.

    x: (N, channels, height, width), in whatever order in memory. The result's channels lie next to each other.
    """
    y: Tensor = _MaxPool.apply(x, size)
    return y


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int) -> Tensor:
        images, channels, height, width = x.shape
        high, wide = height // size, width // size
        y = torch.empty(
            (images, channels, high, wide), dtype=x.dtype, device=x.device, memory_format=torch.channels_last
        )
        which = torch.empty_like(y, dtype=torch.int8)
        places = images * high * wide
        grid, rows, tile = _grid(places, channels)
        _maximum[grid](
            x, y, which, places, channels, *x.stride(), HIGH=high, WIDE=wide, SIZE=size, ROWS=rows, TILE=tile
        )
        ctx.save_for_backward(which)
        ctx.shape, ctx.size = x.shape, size
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (which,) = ctx.saved_tensors
        images, channels, height, width = ctx.shape
        of_x = torch.empty(ctx.shape, dtype=gradient.dtype, device=gradient.device, memory_format=torch.channels_last)
        places = images * height * width
        grid, rows, tile = _grid(places, channels)
        _spread[grid](
            gradient,
            which,
            of_x,
            places,
            channels,
            *gradient.stride(),
            HEIGHT=height,
            WIDTH=width,
            SIZE=ctx.size,
            ROWS=rows,
            TILE=tile,
        )
        return of_x, None


@triton.jit
def _maximum(  # noqa: PLR0913 - a kernel takes numbers only
    x, y, which, places, channels, x_n, x_c, x_h, x_w,
    HIGH: tl.constexpr, WIDE: tl.constexpr, SIZE: tl.constexpr, ROWS: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channel = tl.program_id(1) * TILE + tl.arange(0, TILE)
    is_there = (rows < places)[:, None] & (channel < channels)[None, :]
    image, place = rows // (HIGH * WIDE), rows % (HIGH * WIDE)
    corner = image * x_n + (place // WIDE) * SIZE * x_h + (place % WIDE) * SIZE * x_w
    at = corner[:, None] + (channel * x_c)[None, :]
    most = tl.load(x + at, mask=is_there, other=0.0)
    found = tl.zeros((ROWS, TILE), dtype=tl.int8)
    for number in tl.static_range(1, SIZE * SIZE):
        value = tl.load(x + at + (number // SIZE) * x_h + (number % SIZE) * x_w, mask=is_there, other=0.0)
        is_more = (value > most) | (value != value)  # what is no number wins, as in PyTorch
        most = tl.where(is_more, value, most)
        found = tl.where(is_more, number, found).to(tl.int8)
    to = rows[:, None] * channels + channel[None, :]
    tl.store(y + to, most, mask=is_there)
    tl.store(which + to, found, mask=is_there)


@triton.jit
def _spread(  # noqa: PLR0913 - a kernel takes numbers only
    gradient, which, of_x, places, channels, g_n, g_c, g_h, g_w,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr, SIZE: tl.constexpr, ROWS: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    HIGH: tl.constexpr = HEIGHT // SIZE
    WIDE: tl.constexpr = WIDTH // SIZE
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channel = tl.program_id(1) * TILE + tl.arange(0, TILE)
    is_there = (rows < places)[:, None] & (channel < channels)[None, :]
    image, place = rows // (HEIGHT * WIDTH), rows % (HEIGHT * WIDTH)
    down, right = place // WIDTH, place % WIDTH
    window_down, window_right = down // SIZE, right // SIZE
    # Rows and columns that fill no window have no gradient.
    is_seen = is_there & ((window_down < HIGH) & (window_right < WIDE))[:, None]
    window = (image * HIGH + window_down) * WIDE + window_right
    found = tl.load(which + window[:, None] * channels + channel[None, :], mask=is_seen, other=-1)
    at = image * g_n + window_down * g_h + window_right * g_w
    value = tl.load(gradient + at[:, None] + (channel * g_c)[None, :], mask=is_seen, other=0.0)
    is_maximum = found == ((down % SIZE) * SIZE + right % SIZE)[:, None]
    tl.store(of_x + rows[:, None] * channels + channel[None, :], tl.where(is_maximum, value, 0.0), mask=is_there)


def _grid(places: int, channels: int) -> tuple[tuple[int, int], int, int]:
    """Returns the programs, and how many places and channels each has."""
    tile = min(_CHANNELS, int(triton.next_power_of_2(channels)))
    rows = _TILE // tile
    return (triton.cdiv(places, rows), triton.cdiv(channels, tile)), rows, tile
