"""How a trial comes to its trainer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from hpo.spec.normalization import scaling_for
from hpo.spec.spaces.own_functions import own_functions, training_loop
from hpo.system.text import describe_error
from hpo.trials.messages import TrialRequest
from hpo.worker.settings import SearchSettings, WorkerSettings
from hpo.worker.worker_group import WorkerGroup
from trainers.config import of_trainer, split_config
from trainers.data.splits import TrainingData
from trainers.faults import breaks_device, is_out_of_memory
from trainers.fit import Trainer
from trainers.fused.trainer import FusedTrainer
from trainers.own_trainer import OwnTrainer
from trainers.single import SingleTrainer

AnyTrainer = TypeVar("AnyTrainer", bound=Trainer)
MAX_WARNING_CHARS = 200  # of an error in a row's warning: torch's name every weight that does not fit
# What a trainer raises where it makes nothing of a state.
_STATE_ERRORS = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


def make_trainer(
    data: TrainingData, settings: WorkerSettings, params: Mapping[str, Any], seed: int, peers: WorkerGroup | None
) -> SingleTrainer | OwnTrainer:
    """Makes the trainer of one network; `peers` share its batches, where there are any."""
    make, config = settings.network(params), settings.train_config(params, seed)
    data = data.scaled(scaling_for(settings.model, split_config(params)[1], data.scaling))
    own = own_functions(config)
    if settings.trainer:
        return OwnTrainer(training_loop(settings.trainer), make, data, config, of_trainer(params), own)
    return peers.lead(make, data, config, own) if peers else SingleTrainer(make, data, config, own=own)


def make_group_trainer(
    data: TrainingData, settings: SearchSettings, requests: Sequence[TrialRequest], peers: WorkerGroup | None
) -> SingleTrainer | FusedTrainer | OwnTrainer:
    """Makes the trainer of these trials: of a single one, or of any number that are fused and so have one shape."""
    if not settings.is_fused:
        (request,) = requests
        return make_trainer(data, settings, request.params, settings.seed + request.number, peers)
    configs = [settings.train_config(request.params, settings.seed + request.number) for request in requests]
    makes = [settings.network(request.params) for request in requests]
    return FusedTrainer(makes, data, configs, own_functions(configs[0]).metric)


def take_up(
    make: Callable[[], AnyTrainer], states: Sequence[dict[str, Any]], peers: WorkerGroup | None
) -> tuple[AnyTrainer, str, bool]:
    """Makes a trainer that goes on from what trainers saved; one that begins anew where that is of no use.

    Returns it, a warning for the trial's row (mostly empty), and whether it goes on.
    """
    trainer = make()
    if not states:
        return trainer, "", False
    try:
        return trainer, trainer.load(*states), True
    except Exception as error:
        trainer.close()
        cause = peers.cause(error) if peers else error
        if not _is_state_error(cause):
            raise
    if peers:
        peers.close()
    return make(), f"its checkpoint is of no use ({describe_error(cause, MAX_WARNING_CHARS)}): it begins anew", False


def _is_state_error(error: Exception) -> bool:
    return isinstance(error, _STATE_ERRORS) and not (is_out_of_memory(error) or breaks_device(error))
