"""How a trial comes to its trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from trainers.config import TrainConfig, split_config

if TYPE_CHECKING:
    from torch.nn import Module

    from hpo.worker.worker_group import WorkerGroup
    from trainers.data.dataset import TrainingData
    from trainers.fit import Trainer
    from trainers.fused.trainer import FusedTrainer
    from trainers.single import SingleTrainer

AnyTrainer = TypeVar("AnyTrainer", bound="Trainer")
# What a trainer raises where it makes nothing of a state.
_OF_THE_STATE = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


def make_trainer(
    data: TrainingData, settings: dict[str, Any], params: dict[str, Any], seed: int, peers: WorkerGroup | None
) -> SingleTrainer:
    """Of a network with these hyperparameters; on several workers where there are peers."""
    from trainers.single import SingleTrainer

    make, config = _configured(settings, params, seed)
    return peers.lead(make, data, config) if peers else SingleTrainer(make, data, config)


def make_array_trainer(
    data: TrainingData, settings: dict[str, Any], lanes: Sequence[dict[str, Any]], peers: WorkerGroup | None
) -> SingleTrainer | FusedTrainer:
    """Of these lanes: one by itself, or in a run of fused trials any number of one shape."""
    from trainers.fused.trainer import FusedTrainer

    if settings["lanes"] == 1:
        (lane,) = lanes
        return make_trainer(data, settings, lane["params"], settings["seed"] + lane["number"], peers)
    configured = [_configured(settings, lane["params"], settings["seed"] + lane["number"]) for lane in lanes]
    return FusedTrainer([make for make, _ in configured], data, [config for _, config in configured])


def take_up(
    make: Callable[[], AnyTrainer], states: Sequence[dict[str, Any]], peers: WorkerGroup | None
) -> tuple[AnyTrainer, str, bool]:
    """A trainer that goes on from what trainers saved, where there is anything; one that begins anew where it can make
    nothing of that. Returns what is to be said of it, too, and whether it goes on."""
    trainer = make()
    if not states:
        return trainer, "", False
    try:
        return trainer, trainer.load(*states), True
    except Exception as error:
        trainer.close()
        cause = peers.cause(error) if peers else error
        if not _is_of_the_state(cause):
            raise
    if peers:
        peers.close()
    words = f"{type(cause).__name__}: {' '.join(str(cause).split())}"[:200]
    return make(), f"its checkpoint is of no use ({words}): it begins anew", False


def _is_of_the_state(error: Exception) -> bool:
    from trainers.faults import breaks_device, is_out_of_memory

    return isinstance(error, _OF_THE_STATE) and not (is_out_of_memory(error) or breaks_device(error))


def _configured(
    settings: dict[str, Any], params: dict[str, Any], seed: int
) -> tuple[Callable[[], Module], TrainConfig]:
    from models import build_model

    train, arch = split_config(params)
    make = partial(build_model, settings["model"], settings["input_shape"], settings["num_classes"], **arch)
    return make, TrainConfig(**settings["train"], **train, epochs=settings["epochs"], seed=seed)
