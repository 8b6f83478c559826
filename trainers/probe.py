"""What a trial takes of an accelerator: measured by training a little, alone and fused."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import nn

from trainers.config import TrainConfig
from trainers.data.dataset import TrainingData
from trainers.faults import is_out_of_memory
from trainers.fused.trainer import FusedTrainer
from trainers.single import SingleTrainer

CONTEXT_BYTES = 600 * 2**20  # of an accelerator's memory, that a process takes beside what its tensors do


@dataclass(frozen=True, kw_only=True)
class Probe:
    """peak_bytes: that a process takes at its most; total_bytes: there are (0 and 0 where the device does not say).
    busy: the share of an epoch in which the device computes. images_per_s: of all lanes together, by their
    number.
    """

    peak_bytes: int = 0
    total_bytes: int = 0
    busy: float = 1.0
    images_per_s: dict[int, float] = field(default_factory=dict)


def probe(
    make_model: Callable[[], nn.Module],
    data: TrainingData,
    config: TrainConfig,
    lanes: Sequence[int] = (),
    largest: tuple[Callable[[], nn.Module], int] | None = None,
    optimizers: Sequence[str] = (),
) -> Probe:
    """Trains two epochs of `data`, the second one measured, alone and as each number of `lanes`; numbers that the
    memory has no room for are left out. largest: the network and the batch size that memory is measured with, where
    these are not the others. optimizers: that lanes have in turn, if not that of `config`. Raises what the network
    raises.
    """
    own = optimizers or (config.optimizer,)
    cuda = config.device.startswith("cuda")
    rates = {1: _rate(partial(SingleTrainer, make_model, data, config))}
    busy = _busy(make_model, data, config) if cuda else 1.0
    peak, total = 0, 0
    if cuda:
        make_largest, batch_size = largest or (make_model, config.batch_size)
        peak, total = _memory(partial(SingleTrainer, make_largest, data, replace(config, batch_size=batch_size)))
    for count in lanes:
        configs = [replace(config, seed=lane, optimizer=own[lane % len(own)]) for lane in range(count)]
        try:
            rates[count] = _rate(partial(FusedTrainer, [make_model] * count, data, configs))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            break
    return Probe(peak_bytes=peak, total_bytes=total, busy=busy, images_per_s=rates)


def _rate(make_trainer: Callable[[], SingleTrainer | FusedTrainer]) -> float:
    """Images a second of the second epoch's training, of all lanes together."""
    trainer = make_trainer()
    try:
        trainer.step()
        results = trainer.step()
        return sum(result.images for result in results) / sum(result.train_s for result in results)
    finally:
        trainer.close()


def _memory(make_trainer: Callable[[], SingleTrainer]) -> tuple[int, int]:
    """Bytes that a process takes of the device at its most, and that there are."""
    torch.cuda.reset_peak_memory_stats()
    _rate(make_trainer)
    return torch.cuda.max_memory_reserved() + CONTEXT_BYTES, torch.cuda.mem_get_info()[1]


def _busy(make_model: Callable[[], nn.Module], data: TrainingData, config: TrainConfig) -> float:
    """The time of all kernels of an epoch over that of an epoch without a profiler; 1 where it records none."""
    from torch.autograd import DeviceType  # type: ignore[attr-defined]
    from torch.profiler import ProfilerActivity, profile

    trainer = SingleTrainer(make_model, data, config)
    try:
        trainer.step()
        started = time.perf_counter()
        trainer.step()
        elapsed_s = time.perf_counter() - started
        with profile(activities=[ProfilerActivity.CUDA]) as recorded:
            trainer.step()
            torch.cuda.synchronize()
        kernels = [event for event in recorded.events() or () if event.device_type == DeviceType.CUDA]
        computing_s = sum(event.time_range.elapsed_us() for event in kernels) / 1e6
        return min(1.0, computing_s / elapsed_s) if computing_s else 1.0
    finally:
        trainer.close()
