"""What --precision auto means, by evidence: of this processor's speed, and of the accuracy that was measured."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Architectures whose validation accuracy over five seeds was measured to be the same in both precisions, within its
# noise: "precision" in results/reference/benchmarks.csv.
BF16_AS_GOOD = ("cnn",)
NATIVE = 1.5  # times as fast a product must be for bf16 to pay: what surrounds it costs more, in conversions
_SIDE, _TIMES = 512, 5


def choose_precision(asked: str, model: str, device: str, speedup: float) -> str:
    """float32 or bf16 for the architecture `model`; `asked` where that is one of the two.

    speedup: of bf16, see `bf16_speedup`. On an accelerator auto is float32.
    """
    if asked != "auto":
        return asked
    return "bf16" if device == "cpu" and speedup >= NATIVE and model in BF16_AS_GOOD else "float32"


def bf16_speedup() -> float:
    """How many times as fast this machine's processor multiplies matrices in bfloat16 as in float32, measured
    in a fraction of a second. Flags do not tell: some processors that know the type are no faster with it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return round(product_s(torch.float32) / product_s(torch.bfloat16), 2)
    finally:
        torch.set_num_threads(before)


def product_s(dtype: torch.dtype, side: int = _SIDE, times: int = _TIMES) -> float:
    """Seconds of the fastest of some products of `side` x `side` matrices, after a first one."""
    import torch

    one, other = (torch.ones(side, side, dtype=dtype) for _ in range(2))
    one @ other
    return min(_seconds(one, other) for _ in range(times))


def _seconds(one: Tensor, other: Tensor) -> float:
    began = time.perf_counter()
    one @ other
    return time.perf_counter() - began
