"""What workers are told, made up."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from hpo.store.checkpoint_stores import FolderStorage
from hpo.trials.messages import TrialRequest
from hpo.worker.settings import SearchSettings


def settings(folder: Path, **changed: Any) -> SearchSettings:
    usual: dict[str, Any] = {
        "model": "mlp",
        "input_shape": (1, 28, 28),
        "num_classes": 10,
        "epochs": 4,
        "rungs": (1, 3),
        "checkpoints": FolderStorage(folder),
        "node": "here",
        "seed": 10,
        "precision": "float32",
        "metric": "accuracy",
        "device": "cpu",
        "threads": 1,
    }
    return SearchSettings(**{**usual, **changed})


def ask(number: int = 0, **params: Any) -> TrialRequest:
    config = {"lr": 1e-3, "dropout": 0.1, "batch_size": 32, "activation": "relu", "optimizer": "adam", **params}
    return TrialRequest(trial_id=f"mlp-{number:04d}", number=number, params=config, asked_at=time.time() - 2)
