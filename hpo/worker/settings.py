"""What a worker is told once, before any trial: the same for all trials of an architecture."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from hpo.store.checkpoint_stores import CheckpointStorage
from models import build_model
from trainers.config import TrainConfig, split_config


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """What every process that trains for a run must know."""

    model: str
    """The architecture's name, LIBRARY:NAME or MODULE:NAME."""
    input_shape: tuple[int, int, int]
    """(channels, height, width) of the images."""
    num_classes: int
    epochs: int
    """Of a trial that is not stopped early: where its learning rate schedule ends."""
    seed: int
    """The study's. A trial adds its number to it."""
    precision: str
    metric: str
    trainer: str | None = None
    """The user's own training loop."""
    device: str
    threads: int
    """CPUs, and torch threads, of each worker."""
    workers: int = 1
    """Processes that share each batch of a trial."""
    gpus: float = 0.0
    """GPUs of each of them."""
    import_from: str = ""
    """The folder in which a user's own architecture is looked for."""
    checkpoints: CheckpointStorage
    """As this process sees it."""

    def network(self, params: Mapping[str, Any]) -> Callable[[], nn.Module]:
        """What makes a network with these hyperparameters."""
        _, arch = split_config(params)
        return partial(build_model, self.model, self.input_shape, self.num_classes, **arch)

    def train_config(self, params: Mapping[str, Any] | None = None, seed: int = 0) -> TrainConfig:
        """How a network with these hyperparameters is trained."""
        train, _ = split_config(params or {})
        own = {name: getattr(self, name) for name in ("precision", "metric", "device", "threads")}
        return TrainConfig(**own, **train, epochs=self.epochs, seed=seed)


@dataclass(frozen=True, kw_only=True)
class SearchSettings(WorkerSettings):
    """What the workers of a search must know beside."""

    rungs: tuple[int, ...] = ()
    """Epochs after which weak trials of a fused group are stopped, and a checkpoint is written."""
    deadline: float = math.inf
    """The time.time() at which running trials end."""
    trial_timeout: float | None = None
    """Seconds that a trial may take."""
    is_fused: bool = False
    """Whether the trials of a group are trained as one network."""
    halving: int = 0
    """The reduction factor by which a group of fused trials stops its weak ones by itself; 0: never."""
    is_cluster: bool = False
    node: str = ""
    """The machine that the worker is on."""
