"""One network of the finals, trained on a Ray worker."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import ray

from hpo.store.checkpoints import Checkpoints, is_due
from hpo.system.text import describe_error
from hpo.trials.messages import FinalOutcome, FinalRequest
from hpo.worker.last_words import trains
from hpo.worker.process import prepare
from hpo.worker.settings import WorkerSettings
from hpo.worker.trainer_factory import make_trainer, take_up
from hpo.worker.worker_group import WorkerGroup
from trainers.fit import Trainer


def train_network(data: list[ray.ObjectRef[Any]], settings: WorkerSettings, request: FinalRequest) -> FinalOutcome:
    """Trains one network, from its last checkpoint where there is one.

    data: the reference to the data set's arrays, in a list, so that what arrives is the reference.
    """
    peers = WorkerGroup(data[0], settings) if settings.workers > 1 else None
    training = prepare(ray.get(data[0]), settings)
    trains(request.name)
    checkpoints, trainer = Checkpoints(settings.checkpoints, _check), None
    try:
        state, damaged = checkpoints.load(request.name)
        make = partial(make_trainer, training, settings, request.params, request.seed, peers)
        trainer, said, goes_on = take_up(make, [state["trainer"]] if state else [], peers)
        outcome = _train(trainer, request, checkpoints, state["train_s"] if state and goes_on else 0.0)
        return replace(outcome, warning="; ".join(filter(None, (damaged, said))))
    except (SystemExit, KeyboardInterrupt) as error:  # the network's, of which Ray would make something else
        return FinalOutcome(error=describe_error(error))
    except Exception as error:
        raise (peers.cause(error) if peers else error) from error
    finally:
        if trainer:
            trainer.close()


def _check(state: dict[str, Any]) -> None:
    """Raises KeyError or TypeError for a state that no network can be taken up from."""
    if not (isinstance(state["train_s"], float) and isinstance(state["trainer"]["epoch"], int)):
        raise TypeError("its times are no numbers")


def _train(trainer: Trainer, request: FinalRequest, checkpoints: Checkpoints, train_s: float) -> FinalOutcome:
    finite = True
    while trainer.epoch < request.epochs and finite:
        (result,) = trainer.step()
        train_s += result.train_s
        finite = bool(np.isfinite(result.train_loss))
        if is_due(trainer.epoch) and trainer.epoch < request.epochs:
            with suppress(OSError):  # an insurance only
                checkpoints.save(request.name, trainer.epoch, {"trainer": trainer.save(), "train_s": train_s})
    outcome = FinalOutcome(weights=trainer.weights(), epochs=trainer.epoch, train_s=train_s, diverged=not finite)
    with suppress(OSError):
        checkpoints.remove(request.name)
    return outcome
