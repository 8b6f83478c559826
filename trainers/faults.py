"""What an error says about the device: that its memory is full, or that this process cannot use it any more."""

from __future__ import annotations

from collections.abc import Iterator

import torch

# PyTorch has an exception class for its own allocator only. CUDA's libraries report full memory in words.
OUT_OF_MEMORY_TEXTS = (
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUSOLVER_STATUS_ALLOC_FAILED",
    "CUSPARSE_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Tells whether an accelerator had no memory left, whichever library asked for it; False for the host's memory."""
    return any(_reports_full_memory(each) for each in _causes(error))


def breaks_device(error: BaseException) -> bool:
    """Tells whether everything that this process does on its accelerator from now on fails too.

    After a failed assertion in a kernel, an illegal access or an uncorrectable memory error, CUDA answers every later
    call with the same error.
    """
    lost = any(isinstance(each, torch.AcceleratorError) or "CUDA error:" in str(each) for each in _causes(error))
    return lost and not is_out_of_memory(error)


def _reports_full_memory(error: BaseException) -> bool:
    in_words = isinstance(error, RuntimeError) and any(text in str(error) for text in OUT_OF_MEMORY_TEXTS)
    return isinstance(error, torch.OutOfMemoryError) or in_words


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yields the error and the ones that caused it: an error that ends a graph's capture hides the first one."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
