"""The tables of the reproduced systems, made of rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hpo.networks.reproduction.tables import COLUMNS, markdown, table
from hpo.store.journal import read_journal

ROOT = Path(__file__).parents[4]


def row(**changed: Any) -> dict[str, Any]:
    known = {"system": "C", "model": "lenet5", "seed": 0, "epochs": 20, "dataset": "mnist", "precision": "float32"}
    known |= {"device": "cpu", "parameters": 44_426, "minutes": 1.0, "train_accuracy": 0.99, "train_loss": 0.03}
    return {**known, "test_accuracy": 0.98, "test_loss": 0.05, "val_accuracy": 0.98, **changed}


def test_a_line_is_the_mean_over_the_seeds() -> None:
    frame = table([row(), row(seed=1, test_accuracy=0.99, minutes=3.0), row(seed=0, epochs=2, test_accuracy=0.1)])
    (line,) = frame.to_dict("records")
    assert list(frame) == list(COLUMNS) and line["test_accuracy"] == 0.985 and line["minutes"] == 2.0
    assert line["test_accuracy_std"] == pytest.approx(0.00707, abs=1e-5) and line["seeds"] == 2
    assert line["note"] == "" and line["test_accuracy_claimed"] == 0.9877
    text = markdown(frame)
    assert (line["test_accuracy_low"], line["test_accuracy_high"]) == (pytest.approx(0.9343, abs=1e-4), 1.0)
    assert "| C | `lenet5` | 44,426 / 44,426 | 98.77 % / 98.50 % ± 0.71 (93.43-100.00) |" in text


def test_the_interval_is_that_of_so_many_test_images() -> None:
    lines = [table([row(dataset="mine", test_images=images)]).to_dict("records")[0] for images in (100, 10_000)]
    few, many = (line["test_accuracy_high"] - line["test_accuracy_low"] for line in lines)
    assert few > 5 * many and many == pytest.approx(2 * 1.96 * (0.98 * 0.02 / 10_000) ** 0.5, rel=0.02)
    (unknown,) = table([row(dataset="mine")]).to_dict("records")
    assert pd.isna(unknown["test_accuracy_low"]) and "98.77 % / 98.00 % |" in markdown(table([row(dataset="mine")]))


def test_the_first_column_says_that_a_run_was_cut() -> None:
    assert markdown(table([row(epochs=3)])).splitlines()[2].startswith("| C, cut: 3 of 20 epochs | `lenet5` |")


def test_a_run_that_diverged_is_told() -> None:
    failed = {"error": "diverged in epoch 3", "seed": 1}
    lost = {key: value for key, value in row(**failed).items() if key not in ("test_accuracy", "train_loss")}
    (line,) = table([row(), lost]).to_dict("records")
    assert line["note"] == "diverged with seed 1" and line["test_accuracy"] == 0.98 and line["seeds"] == 2
    assert "- / -" in markdown(table([lost]))


def test_other_data_and_precision_are_lines_of_their_own() -> None:
    frame = table([row(), row(precision="bf16", test_accuracy=0.5), row(dataset="digits", test_accuracy=0.2)])
    assert sorted(frame["test_accuracy"]) == [0.2, 0.5, 0.98]
    (line,) = frame[frame["dataset"] == "digits"].to_dict("records")
    assert line["note"] == "on digits, the claim is of MNIST"


def test_the_committed_tables_are_made_from_the_committed_runs() -> None:
    folder = ROOT / "results" / "reference"
    rows = read_journal(folder / "baselines.jsonl")
    assert rows and {r["dataset"] for r in rows} == {"mnist"}
    assert (folder / "baselines.md").read_text() == markdown(table(rows))
    assert (folder / "baselines.csv").read_text() == table(rows).to_csv(index=False)
    assert (folder / "baselines.md").read_text() in (ROOT / "models" / "README.md").read_text()
