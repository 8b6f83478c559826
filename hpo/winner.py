"""best.pt and best.json: the winner's weights, and all it takes to build and feed it again."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from hpo import weights
from hpo.checkpoints import Checkpoints
from hpo.folder import RunFolder
from hpo.journal import write_json
from hpo.ranking import Ranked
from hpo.records import TrialRecord
from hpo.training import Setup
from trainers.config import TrainConfig, split_config

if TYPE_CHECKING:
    from hpo.preflight import Plan

logger = logging.getLogger(__name__)


def write_winner(ranked: list[Ranked], folder: RunFolder, plan: Plan, checkpoints: Checkpoints) -> None:
    """Writes the best trial's weights and description; nothing where no trial has a validation accuracy.

    The weights are those of its best epoch. A winner of an earlier session that still leads keeps its files;
    one whose last checkpoint could not be written gets none rather than those of an earlier epoch.
    """
    best = ranked[0].record if ranked else None
    if best is None or not best.usable:
        return
    state, damage = checkpoints.load(best.trial_id)
    if damage:
        logger.warning("%s", damage)
    if state is None:
        if not has_weights(folder.path, best):
            logger.warning("%s: leads only now, when its checkpoint is gone; no weights are kept", best.trial_id)
        return
    if state["best_epoch"] != best.best_epoch:
        logger.warning("%s: its checkpoint is older than its best epoch, no weights are kept", best.trial_id)
        return
    setup = Setup(
        model=best.model, train=TrainConfig(epochs=plan.spec.search.epochs), arch=split_config(best.config)[1]
    )
    description = weights.describe(best.trial_id, setup, plan.dataset, plan.spec.data.train_size)
    weights.save(folder.best_pt, description, state["best_weights"])
    write_description(folder.best_json, description, best)


def write_description(path: Path, description: weights.Description, record: TrialRecord) -> None:
    """Writes best.json: the description, and under "trial" the record of the training."""
    trial = {key: value for key, value in record.to_dict().items() if key != "curve"}
    write_json(path, {**description.to_dict(), "trial": trial})


def has_weights(folder: Path, record: TrialRecord) -> bool:
    """Whether the best.pt in results/NAME holds this trial's weights."""
    try:
        return bool(json.loads((folder / "best.json").read_text())["trial_id"] == record.trial_id)
    except OSError:
        return False
