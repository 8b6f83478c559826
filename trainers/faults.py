"""What an error says of its device: that its memory is full, or that the process can use it no more."""

from __future__ import annotations

from collections.abc import Iterator

import torch

# PyTorch has a class for its own allocator alone: the libraries beside it say it in words.
_NO_MEMORY = (
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUSOLVER_STATUS_ALLOC_FAILED",
    "CUSPARSE_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an accelerator had no memory left, whichever library asked for it; of the host's memory it is not."""
    return any(_says_no_memory(each) for each in _chain(error))


def breaks_device(error: BaseException) -> bool:
    """Whether all that this process does on its accelerator from now on fails too: after a failed assertion in a
    kernel, an illegal access or an uncorrectable memory error, CUDA gives every later call the same error."""
    lost = any(isinstance(each, torch.AcceleratorError) or "CUDA error:" in str(each) for each in _chain(error))
    return lost and not is_out_of_memory(error)


def _says_no_memory(error: BaseException) -> bool:
    words = isinstance(error, RuntimeError) and any(word in str(error) for word in _NO_MEMORY)
    return isinstance(error, torch.OutOfMemoryError) or words


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those that it came of: one that ends the capture of a graph covers what went wrong within."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
