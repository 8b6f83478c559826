"""A training that goes on where it was stopped: its trainer and its result, saved after each epoch."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trainers import checkpoint
from trainers.config import EpochResult, FitResult
from trainers.fit import Trainer

logger = logging.getLogger(__name__)


class Unfinished:
    """The file of one unfinished training.

    settings: plain values that say what is trained. A file with other settings is of another training, and is not used.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path, self._settings = path, dict(settings)

    def restore(self, trainer: Trainer) -> FitResult:
        """Loads the trainer's state into `trainer` and returns the result so far; an empty one where there is none."""
        try:
            saved = checkpoint.load(self._path)
        except FileNotFoundError:
            return FitResult()
        except ValueError as error:
            logger.warning("%s; the training starts again", error)
            return FitResult()
        if saved["settings"] != self._settings:
            return FitResult()
        if warning := trainer.load(saved["trainer"]):
            logger.warning("%s", warning)
        curve = [EpochResult(**epoch) for epoch in saved["curve"]]
        best = next((epoch for epoch in curve if epoch.epoch == saved["best_epoch"]), None)
        return FitResult(curve=curve, best=best, best_weights=saved["best_weights"])

    def save(self, trainer: Trainer, fitted: FitResult) -> None:
        """Replaces the file. Raises OSError where the disk does not take it."""
        saved = {
            "settings": self._settings,
            "trainer": trainer.save(),
            "curve": [asdict(epoch) for epoch in fitted.curve],
            "best_epoch": fitted.best.epoch if fitted.best else None,
            "best_weights": fitted.best_weights,
        }
        checkpoint.save(self._path, saved)
