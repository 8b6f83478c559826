from __future__ import annotations

import pytest
import torch

from trainers.faults import breaks_device, is_out_of_memory

NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
]
BROKEN = [
    torch.AcceleratorError("CUDA error: device-side assert triggered"),
    torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered"),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
]
ORDINARY = [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    ValueError("a user's own words, out of memory or not"),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("error", NO_MEMORY, ids=str)
def test_no_memory_is_known_whoever_says_it(error: Exception) -> None:
    assert is_out_of_memory(error) and not breaks_device(error)


@pytest.mark.parametrize("error", BROKEN, ids=str)
def test_a_device_that_is_lost_for_the_process_is_known(error: Exception) -> None:
    assert breaks_device(error) and not is_out_of_memory(error)


@pytest.mark.parametrize("error", ORDINARY, ids=str)
def test_other_errors_are_neither(error: Exception) -> None:
    assert not is_out_of_memory(error) and not breaks_device(error)


def test_what_another_error_covers_counts() -> None:
    over = RuntimeError("CUDA error: operation failed due to a previous error during capture")
    over.__context__ = NO_MEMORY[0]
    assert is_out_of_memory(over) and not breaks_device(over)
