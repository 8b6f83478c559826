"""Takes images of bytes out of a data set and normalizes them, in one pass over memory on a CPU."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from trainers.cpu.native import kernels


def normalized(images: Tensor, rows: Tensor, shift: Tensor, factor: Tensor) -> Tensor:
    """Returns the images with these indices, normalized: float32 (N, channels, height, width).

    images: uint8 (M, channels, height, width), dense in this order or with the channels last. rows: int64 (N,), from 0
    to M - 1. shift, factor: float32 (channels,), as `Scaling.of_bytes` returns them. The compiled kernel and PyTorch's
    operations give the same values, bit by bit.
    """
    is_dense, is_last = images.is_contiguous(), images.is_contiguous(memory_format=torch.channels_last)
    if images.device.type == "cpu" and (is_dense or is_last) and (library := kernels()) is not None:
        count, channels, *sides = (len(rows), *images.shape[1:])
        result = torch.empty(count, channels, *sides)
        tensors = (images, rows.contiguous(), result, shift, factor)
        sizes = (count, channels, sides[0] * sides[1], not is_dense)
        library.normalize(*(ctypes.c_void_p(t.data_ptr()) for t in tensors), *map(ctypes.c_int64, sizes))
        return result
    shape = (1, -1, 1, 1)
    return images.index_select(0, rows).float().sub_(shift.view(shape)).mul_(factor.view(shape))
