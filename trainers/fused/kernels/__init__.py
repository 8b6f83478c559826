"""Triton kernels of fused trials, for CUDA devices. Their modules need Triton; `available` tells whether it works."""

from __future__ import annotations

import functools
import logging

import torch

logger = logging.getLogger(__name__)


@functools.cache
def available() -> bool:
    """Tells whether the kernels can be compiled and run here: on a CUDA device, with Triton and a C compiler.

    PyTorch's builds for GPUs come with Triton. Where it does not work, the reason is in the log, once per process.
    """
    if not torch.cuda.is_available():
        return False
    try:
        from trainers.fused.kernels.pooling import max_pool

        max_pool(torch.zeros(1, 16, 2, 2, device="cuda"), 2)
        return True
    except Exception as error:
        logger.warning("PyTorch's own kernels train fused trials, because Triton's do not work here: %s", error)
        return False
