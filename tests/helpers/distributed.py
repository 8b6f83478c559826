"""A distributed trainer: the leader in this process, the other ranks in processes of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch.multiprocessing as mp

from models import build_model
from trainers.config import TrainConfig
from trainers.data.dataset import load_dataset
from trainers.ddp import DistributedTrainer, RankInfo, open_rendezvous


def make(name: str = "lenet5", **arch: Any) -> Callable[[], Any]:
    return partial(build_model, name, (1, 28, 28), 10, **arch)


def digits() -> Any:
    return load_dataset("digits", Path("x"), train_size=301).training


def led(model: Any, config: TrainConfig, work: Callable[[DistributedTrainer], Any], size: int = 2) -> Any:
    """Returns what `work` returns for the leader of `size` processes, while the others follow it."""
    rendezvous = open_rendezvous("127.0.0.1")
    others = mp.spawn(_follow, (size, rendezvous.port, model, config), nprocs=size - 1, join=False)  # type: ignore[no-untyped-call]
    trainer = DistributedTrainer(model, digits(), config, RankInfo("127.0.0.1", rendezvous.port, 0, size), rendezvous)
    try:
        return work(trainer)
    finally:
        trainer.close()
        others.join(timeout=30)


def _follow(rank: int, size: int, port: int, model: Any, config: TrainConfig) -> None:
    DistributedTrainer(model, digits(), config, RankInfo("127.0.0.1", port, rank + 1, size)).serve()
    names = [name.read_text() for name in Path("/proc/self/task").glob("*/comm")]
    assert not any("gloo" in name for name in names), names  # alive at the exit, they may abort the process
