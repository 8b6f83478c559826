"""What every process that trains for a run does first, and how it comes to its trainer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from trainers.config import TrainConfig, split_config

if TYPE_CHECKING:
    from torch.nn import Module

    from hpo.peers import Peers
    from trainers.data import TrainingData
    from trainers.fused import FusedTrainer
    from trainers.single import SingleTrainer


def prepare(arrays: dict[str, Any], settings: dict[str, Any]) -> TrainingData:
    """The data set on this process's device, where it stays for all that is trained here; no test split opens from now
    on, and a user's own architecture is found where the driver found it."""
    from hpo.lastwords import write_last_words
    from trainers.data import TrainingData, seal
    from trainers.memory import keep_freed_memory

    write_last_words()
    seal()
    keep_freed_memory()
    if settings["import_from"] not in sys.path:
        sys.path.append(settings["import_from"])
    return TrainingData.from_arrays(arrays).to(settings["train"]["device"])


def make_trainer(
    data: TrainingData, settings: dict[str, Any], params: dict[str, Any], seed: int, peers: Peers | None
) -> SingleTrainer:
    """Of a network with these hyperparameters; on several workers where there are peers."""
    from trainers.single import SingleTrainer

    make, config = _configured(settings, params, seed)
    return peers.lead(make, data, config) if peers else SingleTrainer(make, data, config)


def make_array_trainer(
    data: TrainingData, settings: dict[str, Any], lanes: Sequence[dict[str, Any]], peers: Peers | None
) -> SingleTrainer | FusedTrainer:
    """Of these lanes: one by itself, or in a run of fused trials any number of one shape."""
    from trainers.fused import FusedTrainer

    if settings["lanes"] == 1:
        (lane,) = lanes
        return make_trainer(data, settings, lane["params"], settings["seed"] + lane["number"], peers)
    configured = [_configured(settings, lane["params"], settings["seed"] + lane["number"]) for lane in lanes]
    return FusedTrainer([make for make, _ in configured], data, [config for _, config in configured])


def _configured(
    settings: dict[str, Any], params: dict[str, Any], seed: int
) -> tuple[Callable[[], Module], TrainConfig]:
    from models import build_model

    train, arch = split_config(params)
    make = partial(build_model, settings["model"], settings["input_shape"], settings["num_classes"], **arch)
    return make, TrainConfig(**settings["train"], **train, epochs=settings["epochs"], seed=seed)
