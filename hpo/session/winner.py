"""The networks that a run leaves: best.pt, the winner's, with best.json; trial.pt, that of its trial; finals/, those of
all finalists."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpo.networks.training import TrainingSetup, describe
from hpo.spec.plan import Plan
from hpo.store import model_file
from hpo.store.checkpoints import Checkpoints
from hpo.store.model_file import FINAL, TRIAL, Description, read_whole, weights_in
from hpo.store.run_folder import RunFolder
from hpo.trials.finalists import Finalist
from hpo.trials.ranking import Ranked
from hpo.trials.records import TrialRecord
from trainers.config import TrainConfig, split_config

MAX_KEPT_BYTES = 50_000_000  # of a finalist's network in finals/; the winner's is in best.pt, whatever its size

Network = tuple[Description, dict[str, Any]]
logger = logging.getLogger(__name__)


def write_networks(
    ranked: list[Ranked], finalists: Sequence[Finalist], folder: RunFolder, plan: Plan, checkpoints: Checkpoints
) -> bool:
    """Writes the finalists' networks, and the winner's: nothing for the latter where no trial is usable.

    The winner is the best trial by validation, so best.pt was never chosen by the test images. Of a finalist, the
    network of its first seed is kept. A winner of an earlier session that still leads keeps its files; one whose last
    checkpoint could not be written gets none rather than those of an earlier epoch. Returns whether a later session has
    nothing to add: False while checkpoints cannot be reached.
    """
    for finalist in finalists:
        _keep_final(finalist, folder, plan)
    best = ranked[0].record if ranked else None
    if best is None or not best.usable:
        return True
    tested = next((_of_final(one, folder, plan) for one in finalists if one.record.trial_id == best.trial_id), None)
    searched, reachable = _of_trial(best, folder, plan, checkpoints)
    if searched is None:
        logger.warning("%s leads, but its checkpoint is gone: the weights of the search are lost", best.trial_id)
    if tested and searched:
        model_file.save(folder.trial_pt, *searched)
    if kept := tested or searched:
        model_file.save(folder.best_pt, *kept)
        model_file.write_description(folder.best_json, kept[0], best)
        if not (tested and searched):
            folder.trial_pt.unlink(missing_ok=True)  # of an earlier winner
    return searched is not None or reachable


def _keep_final(finalist: Finalist, folder: RunFolder, plan: Plan) -> None:
    """Keeps the network of a finalist's first seed, unless an earlier session has done it, or it is too large."""
    weights = read_whole(folder.weights_of_final(finalist.record.trial_id, finalist.seeds[0]))
    if weights and sum(value.nbytes for value in weights.values()) <= MAX_KEPT_BYTES:
        folder.finals_networks.mkdir(exist_ok=True)
        model_file.save(_kept(finalist, folder), _describe_final(finalist, plan), weights)


def _of_final(finalist: Finalist, folder: RunFolder, plan: Plan) -> Network | None:
    """The network of a finalist's first seed; None where it is lost."""
    weights = read_whole(folder.weights_of_final(finalist.record.trial_id, finalist.seeds[0]))
    for file in (_kept(finalist, folder), folder.best_pt):
        weights = weights or weights_in(file, finalist.record, FINAL)
    if weights is None:
        logger.warning("%s: the network of its final is lost", finalist.record.trial_id)
    return (_describe_final(finalist, plan), weights) if weights else None


def _kept(finalist: Finalist, folder: RunFolder) -> Path:
    return folder.finals_networks / f"{finalist.record.trial_id}.pt"


def _describe_final(finalist: Finalist, plan: Plan) -> Description:
    return replace(_describe(finalist.record, plan), network=FINAL, seed=finalist.seeds[0])


def _of_trial(
    best: TrialRecord, folder: RunFolder, plan: Plan, checkpoints: Checkpoints
) -> tuple[Network | None, bool]:
    """The network that the search has found; None where it is lost. And whether checkpoints could be reached."""
    weights, reachable = _checkpointed(best, checkpoints)
    for file in (folder.trial_pt, folder.best_pt):
        weights = weights or weights_in(file, best, TRIAL)
    return (replace(_describe(best, plan), network=TRIAL), weights) if weights else None, reachable


def _checkpointed(best: TrialRecord, checkpoints: Checkpoints) -> tuple[dict[str, Any] | None, bool]:
    """The weights of a trial's best epoch, None where no checkpoint has them; whether it could be looked for."""
    try:
        checkpoints.storage.names("")
    except OSError as error:
        logger.warning("%s: %s", checkpoints.storage, error)
        return None, False
    state, damage = checkpoints.load(best.trial_id)
    if damage:
        logger.warning("%s", damage)
    if state is None:
        return None, True
    if state["best_epoch"] != best.best_epoch:
        logger.warning("%s: its checkpoint is older than its best epoch", best.trial_id)
        return None, True
    return state["best_weights"], True


def _describe(record: TrialRecord, plan: Plan) -> Description:
    train = TrainConfig(epochs=plan.spec.search.epochs)
    setup = TrainingSetup(
        model=record.model, train=train, arch=split_config(record.config)[1], trainer=plan.spec.search.trainer
    )
    return describe(record.trial_id, setup, plan.dataset, plan.spec.data.train_size)
