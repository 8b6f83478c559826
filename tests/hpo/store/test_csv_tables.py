"""The CSV files of a run: columns, order, and how often they are written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from hpo.store.csv_tables import LiveTrials, curves_frame, leaderboard_frame, trials_frame
from hpo.trials.ranking import rank
from hpo.trials.records import TrialRecord, TrialState, is_hyperparameter


def record(number: int, model: str = "cnn", **values: Any) -> TrialRecord:
    config = {"lr": 0.1, "dropout": 0.0, "batch_size": 32, "activation": "relu", "optimizer": "sgd"}
    fields: dict[str, Any] = {
        "state": TrialState.COMPLETED,
        "val_accuracy": number / 100,
        "curve": [{"epoch": 1, "val_accuracy": number / 100, "train_loss": None}],
        **values,
    }
    return TrialRecord(
        trial_id=f"{model}-{number:04d}",
        model=model,
        config=config,
        seed=number,
        parameters=7,
        dataset="digits",
        precision="float32",
        **fields,
    )


COLUMNS = [
    *("rank", "model", "val_accuracy", "parameters", "wall_time_s", "state", "epochs", "best_epoch", "val_loss"),
    *("train_accuracy", "train_loss", "pareto", "lr", "dropout", "batch_size", "activation", "optimizer"),
    *("queue_s", "setup_s", "train_s", "eval_s", "images_per_s", "seed", "device", "node", "precision", "workers"),
    *("group_size", "retries", "dataset", "trial_id", "error"),
]


def test_trials_csv_has_the_documented_columns_in_order(tmp_path: Path) -> None:
    LiveTrials(tmp_path / "trials.csv", [record(1), record(2, error='a "b", c')]).write()
    frame = pd.read_csv(tmp_path / "trials.csv")
    assert list(frame.columns) == COLUMNS
    assert list(frame["rank"]) == [1, 2] and list(frame["trial_id"]) == ["cnn-0002", "cnn-0001"]
    assert frame["error"][0] == 'a "b", c' and frame["state"][0] == "completed"
    assert list(trials_frame([]).columns) == [c for c in COLUMNS if c != "optimizer"]


def test_a_hyperparameter_that_is_called_as_a_column_has_config_before_it(tmp_path: Path) -> None:
    own = replace(record(1), config={"lr": 0.1, "epochs": 7, "val_share": 0.5, "optimism": 2, "depth": 3})
    (row,) = trials_frame(rank([own])).to_dict("records")
    assert (row["epochs"], row["config_epochs"], row["config_val_share"], row["config_optimism"]) == (0, 7, 0.5, 2)
    assert [name for name in row if is_hyperparameter(name) and row[name] == 3] == ["depth"]


def test_curves_have_a_row_per_trial_and_epoch() -> None:
    frame = curves_frame([record(1), record(2, curve=[{"epoch": 1}, {"epoch": 2}])])
    assert list(frame["epoch"]) == [1, 1, 2] and list(frame["trial_id"])[-1] == "cnn-0002"


def test_the_leaderboard_has_the_best_of_each_architecture() -> None:
    records = [record(n, m) for m, ns in (("cnn", (3, 9)), ("mlp", (5, 7, 1))) for n in ns]
    frame = leaderboard_frame(rank(records))
    assert list(frame["model"]) == ["cnn", "mlp"] and list(frame["rank"]) == [1, 2]
    assert list(frame["trials"]) == [2, 3] and list(frame["trial_id"]) == ["cnn-0009", "mlp-0007"]


def test_live_trials_are_not_written_on_every_call(tmp_path: Path) -> None:
    records: list[TrialRecord] = []
    live = LiveTrials(tmp_path / "trials.csv", records)
    for number in range(20):
        records.append(record(number))
        live.finished(records[-1])
    assert 1 <= len(pd.read_csv(tmp_path / "trials.csv")) < 20
