"""What every process that trains for a run does first, and how it comes to its trainer."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from trainers.config import TrainConfig, split_config

if TYPE_CHECKING:
    from hpo.peers import Peers
    from trainers.data import TrainingData
    from trainers.single import SingleTrainer


def prepare(arrays: dict[str, Any], settings: dict[str, Any]) -> TrainingData:
    """The data set on this process's device, where it stays for all that is trained here; no test split opens from now
    on, and a user's own architecture is found where the driver found it."""
    from trainers.data import TrainingData, seal
    from trainers.memory import keep_freed_memory

    seal()
    keep_freed_memory()
    if settings["import_from"] not in sys.path:
        sys.path.append(settings["import_from"])
    return TrainingData.from_arrays(arrays).to(settings["train"]["device"])


def make_trainer(
    data: TrainingData, settings: dict[str, Any], params: dict[str, Any], seed: int, peers: Peers | None
) -> SingleTrainer:
    """Of a network with these hyperparameters; on several workers where there are peers."""
    from models import build_model
    from trainers.single import SingleTrainer

    train, arch = split_config(params)
    make = partial(build_model, settings["model"], settings["input_shape"], settings["num_classes"], **arch)
    config = TrainConfig(**settings["train"], **train, epochs=settings["epochs"], seed=seed)
    return peers.lead(make, data, config) if peers else SingleTrainer(make, data, config)
