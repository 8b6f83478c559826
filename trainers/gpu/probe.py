"""Measures what a trial needs of an accelerator, by training a little: alone, and as fused trials."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import nn

from trainers.config import TrainConfig
from trainers.data.splits import TrainingData
from trainers.faults import is_out_of_memory
from trainers.fit import Trainer
from trainers.fused.trainer import FusedTrainer
from trainers.single import SingleTrainer

CUDA_CONTEXT_BYTES = 600 * 2**20  # memory that a process takes on the accelerator beside its tensors


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What `probe` measured."""

    peak_bytes: int = 0
    """The most memory that a process takes on the device; 0 where the device does not say."""
    total_bytes: int = 0
    """The device's memory; 0 where the device does not say."""
    busy: float = 1.0
    """The fraction of an epoch in which the device computes."""
    images_per_s: dict[int, float] = field(default_factory=dict)
    """Images per second of all trials together, by the number of fused trials; 1 is a trial alone."""


def probe(
    make_model: Callable[[], nn.Module],
    data: TrainingData,
    config: TrainConfig,
    group_sizes: Sequence[int] = (),
    largest: tuple[Callable[[], nn.Module], int] | None = None,
    optimizers: Sequence[str] = (),
) -> Probe:
    """Trains two epochs of `data` alone and as each number of fused trials; the second epoch is measured.

    group_sizes: numbers of fused trials, ascending; those that the memory has no room for are left out. largest: the
    network and the batch size to measure memory with, where these differ from the others. optimizers: what the fused
    trials use in turn, instead of `config.optimizer`. Raises what the network raises.
    """
    names = optimizers or (config.optimizer,)
    cuda = config.device.startswith("cuda")
    rates = {1: _rate(partial(SingleTrainer, make_model, data, config))}
    busy = _busy(make_model, data, config) if cuda else 1.0
    peak, total = 0, 0
    if cuda:
        make_largest, batch_size = largest or (make_model, config.batch_size)
        peak, total = _memory(partial(SingleTrainer, make_largest, data, replace(config, batch_size=batch_size)))
    for count in group_sizes:
        configs = [replace(config, seed=trial, optimizer=names[trial % len(names)]) for trial in range(count)]
        try:
            rates[count] = _rate(partial(FusedTrainer, [make_model] * count, data, configs))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            break
    return Probe(peak_bytes=peak, total_bytes=total, busy=busy, images_per_s=rates)


def _rate(make_trainer: Callable[[], Trainer]) -> float:
    """Returns the images per second of the second epoch's training, of all trials together."""
    trainer = make_trainer()
    try:
        trainer.step()
        results = trainer.step()
        return sum(result.images for result in results) / sum(result.train_s for result in results)
    finally:
        trainer.close()


def _memory(make_trainer: Callable[[], Trainer]) -> tuple[int, int]:
    """Returns the most bytes that a process takes on the device, and how many the device has."""
    torch.cuda.reset_peak_memory_stats()
    _rate(make_trainer)
    return torch.cuda.max_memory_reserved() + CUDA_CONTEXT_BYTES, torch.cuda.mem_get_info()[1]


def _busy(make_model: Callable[[], nn.Module], data: TrainingData, config: TrainConfig) -> float:
    """Returns the kernels' time in an epoch over that of an epoch without a profiler; 1 where none is recorded."""
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
