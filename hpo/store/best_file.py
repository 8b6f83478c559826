"""best.json beside best.pt: whose weights these are, for people and for a later session."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from hpo.store import model_file as weights
from hpo.system.files import write_json
from hpo.trials.records import TrialRecord
from trainers import checkpoint

logger = logging.getLogger(__name__)


def holds_weights_of(best_pt: Path, record: TrialRecord) -> bool:
    """Whether the file is whole, and of this trial."""
    try:
        return bool(checkpoint.load(best_pt).get("trial_id") == record.trial_id)
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        logger.warning("%s", error)
        return False


def write_description(path: Path, description: weights.Description, record: TrialRecord) -> None:
    """Writes best.json: the description, and under "trial" the record of the training."""
    trial = {key: value for key, value in record.to_dict().items() if key != "curve"}
    write_json(path, {**description.to_dict(), "trial": trial})


def has_weights(folder: Path, record: TrialRecord) -> bool:
    """Whether the best.pt in results/NAME holds this trial's weights, by the best.json beside it."""
    try:
        best = json.loads((folder / "best.json").read_text(encoding="utf-8"))
        return bool(best["trial_id"] == record.trial_id) and (folder / "best.pt").exists()
    except (OSError, ValueError, KeyError, TypeError):
        return False
