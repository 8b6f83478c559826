"""best.pt and best.json: the winner's weights, and all it takes to build and feed it again."""

from __future__ import annotations

import logging
from typing import Any

from hpo.networks.training import TrainingSetup, describe
from hpo.spec.plan import Plan
from hpo.store import model_file as weights
from hpo.store.checkpoints import Checkpoints
from hpo.store.model_file import holds_weights_of, write_description
from hpo.store.run_folder import RunFolder
from hpo.trials.ranking import Ranked
from hpo.trials.records import TrialRecord
from trainers.config import TrainConfig, split_config

logger = logging.getLogger(__name__)


def write_winner(ranked: list[Ranked], folder: RunFolder, plan: Plan, checkpoints: Checkpoints) -> bool:
    """Writes the best trial's weights and description; nothing where no trial has a validation accuracy.

    The weights are those of its best epoch. A winner of an earlier session that still leads keeps its files;
    one whose last checkpoint could not be written gets none rather than those of an earlier epoch.
    Returns whether a later session has nothing to add: False while checkpoints cannot be reached.
    """
    best = ranked[0].record if ranked else None
    if best is None or not best.usable:
        return True
    weights_of_best, reachable = _checkpointed(best, checkpoints)
    description = _describe(best, plan)
    if weights_of_best is not None:
        weights.save(folder.best_pt, description, weights_of_best)
    elif not holds_weights_of(folder.best_pt, best):
        logger.warning("%s leads, but its checkpoint is gone: no weights are kept", best.trial_id)
        return reachable
    write_description(folder.best_json, description, best)
    return True


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


def _describe(best: TrialRecord, plan: Plan) -> weights.Description:
    train = TrainConfig(epochs=plan.spec.search.epochs)
    setup = TrainingSetup(
        model=best.model, train=train, arch=split_config(best.config)[1], trainer=plan.spec.search.trainer
    )
    return describe(best.trial_id, setup, plan.dataset, plan.spec.data.train_size)
