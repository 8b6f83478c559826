"""What --precision auto means, by evidence: of this machine's speed, and of the accuracy that was measured."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.spec.plan import ModelPlan
from hpo.system.files import write_atomically
from trainers.cpu.native import cache_folder, processor

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Architectures whose validation accuracy was measured to be the same in both precisions, within its noise: over five
# seeds on CPUs ("precision" in results/reference/benchmarks.csv), over 16 on a GPU (gpu-precision.txt).
BF16_AS_GOOD = ("cnn",)
MIN_BF16_SPEEDUP = 1.5  # times as fast a product must be for bf16 to pay: what surrounds it costs more, in conversions
MIN_CAPABILITY = (8, 0)  # of GPUs whose tensor cores know bf16: NVIDIA's Ampere and later
_SIDE, _ROUNDS = 512, 15


def with_precision(
    models: tuple[ModelPlan, ...], asked: str, device: str, begun: Mapping[str, str], *, is_alone: bool
) -> tuple[ModelPlan, ...]:
    """The architectures with their precision.

    asked: what --precision says. begun: the precision of a resumed run's architectures, which stays as it is. is_alone:
    whether all trials run on this machine. A cluster's nodes, and other drivers of a study, may be of other kinds:
    float32 is right on all.
    """
    undecided = asked == "auto" and {model.name for model in models} - set(begun) & set(BF16_AS_GOOD)
    is_fast = bool(undecided) and is_alone and is_bf16_fast(device)
    return tuple(
        replace(model, precision=begun.get(model.name) or choose_precision(asked, model.name, is_fast=is_fast))
        for model in models
    )


def choose_precision(asked: str, model: str, *, is_fast: bool) -> str:
    """float32 or bf16 for the architecture `model`; `asked` where that is one of the two.

    is_fast: whether bf16 pays on the device of the trials, see `is_bf16_fast`.
    """
    if asked != "auto":
        return asked
    return "bf16" if is_fast and model in BF16_AS_GOOD else "float32"


def is_bf16_fast(device: str) -> bool:
    """Whether bf16 makes this machine's `device` (cpu, cuda, mps) fast enough to pay. Of a processor that is measured.
    A CUDA device has it in hardware, or has not; all of the machine's must have it."""
    import torch

    if device == "cuda":
        return all(torch.cuda.get_device_capability(n) >= MIN_CAPABILITY for n in range(torch.cuda.device_count()))
    return device == "cpu" and bf16_speedup() >= MIN_BF16_SPEEDUP


def bf16_speedup() -> float:
    """How many times as fast this machine's processor multiplies matrices in bfloat16 as in float32. Flags do not tell:
    some processors that know the type are no faster with it.

    Measured once, in a fraction of a second, and then kept in the user's cache, so that the same machine always decides
    the same; measured each time where there is no use in that.
    """
    try:
        file = cache_folder() / f"bf16-{_machine()}.txt"
        return _read(file) or _kept(file, measured_speedup())
    except (OSError, RuntimeError):
        return measured_speedup()


def measured_speedup() -> float:
    """The same by measurement. What else the machine does comes and goes: so the two kinds of products take turns, the
    fastest of each counts, and only the time in which this thread has the processor."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        pairs = [_matrices(dtype, _SIDE) for dtype in (torch.float32, torch.bfloat16)]
        rounds = [[_seconds(*pair) for pair in pairs] for _ in range(1 + _ROUNDS)][1:]
        in_float32, in_bf16 = (min(times[n] for times in rounds) for n in range(2))
        return round(in_float32 / in_bf16, 2)
    finally:
        torch.set_num_threads(before)


def _matrices(dtype: torch.dtype, side: int) -> tuple[Tensor, Tensor]:
    import torch

    return torch.ones(side, side, dtype=dtype), torch.ones(side, side, dtype=dtype)


def _seconds(one: Tensor, other: Tensor) -> float:
    began = time.thread_time()
    one @ other
    return time.thread_time() - began


def _machine() -> str:
    """What a measurement depends on: a home folder may be shared by machines that are not alike."""
    return hashlib.sha256(f"{processor()}\0{version('torch')}".encode()).hexdigest()[:16]


def _read(file: Path) -> float | None:
    """What was measured once; None where it was not, or the file is damaged."""
    try:
        kept = float(file.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return kept if 0 < kept < math.inf else None


def _kept(file: Path, speedup: float) -> float:
    write_atomically(file, str(speedup))
    return speedup
