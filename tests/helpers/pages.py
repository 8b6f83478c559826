"""Finished runs and trainings, made up, as a report reads them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hpo.store.stored_run import StoredRun, StoredTraining, read_run, read_training
from hpo.system.files import write_json
from hpo.trials.records import TrialRecord
from tests.helpers.records import record
from trainers.config import EpochResult

EVIL = "<script>alert(1)</script>"


def trial(number: int, epochs: int = 3, **values: Any) -> TrialRecord:
    rng = np.random.default_rng(number)
    accuracy = [float(rng.uniform(0.8, 0.9)) for _ in range(epochs)]
    config = {"lr": float(10 ** rng.uniform(-4, -1)), "batch_size": int(rng.choice([32, 64])), "activation": "relu"}
    curve = [
        {"epoch": n, "val_accuracy": a, "val_loss": 1.0, "train_loss": 1.0, "train_accuracy": a, "images": 9}
        for n, a in enumerate(accuracy, start=1)
    ]
    usual = {"val_accuracy": max(accuracy, default=None), "epochs": epochs, "curve": curve, "config": config}
    return record(number, **{**usual, "wall_time_s": 1.0 + number, "train_s": 0.5, **values})


def a_run(folder: Path, records: list[TrialRecord], **changes: Any) -> StoredRun:
    folder.mkdir()
    data = {
        "name": "digits", "notice": "", "classes": [EVIL, "1"],
        "hashes": {"train": "a", "validation": "b", "test": "c"},
        "sizes": {"train": 9, "validation": 5, "test": 4},
    }  # fmt: skip
    study = {
        "id": "1", "state": "complete", "spec": {"model": ["cnn"], "trials": 9, "quiet": True}, "data": data,
        "models": {"cnn": {"parameters": 10, "space": {"lr": "FloatDistribution(...)"}}}, "versions": {"torch": "2"},
        "machine": {"platform": "linux"}, "commit": None, "trials": {"completed": len(records)},
        "sessions": [{"started": "then", "ended": "later", "host": "here"}],
    }  # fmt: skip
    write_json(folder / "study.json", {**study, **changes})
    (folder / "trials.jsonl").write_text("".join(f"{json.dumps(one.to_dict())}\n" for one in records))
    return read_run(folder)


def a_training(folder: Path, curve: Sequence[EpochResult], **values: Any) -> StoredTraining:
    """A training of this curve; values: of its record."""
    folder.mkdir()
    best = max(curve, key=lambda result: result.score)
    fields = {"val_accuracy": best.val_accuracy, "val_score": best.val_score, "best_epoch": best.epoch}
    one = record(0, **{**fields, "epochs": len(curve), "config": {"lr": 0.1, "augment": "shift"}, **values})
    data = {
        "name": "digits", "notice": "", "hashes": {"train": "a"}, "sizes": {"train": 9, "validation": 5, "test": 4},
    }  # fmt: skip
    write_json(folder / "train.json", {"model": one.model, "data": data, "versions": {"torch": "2"}, "started": "then"})
    write_json(folder / "best.json", {"trial": one.to_dict()})
    pd.DataFrame([asdict(result) for result in curve]).to_csv(folder / "curves.csv", index=False)
    found = read_training(folder)
    assert found
    return found
