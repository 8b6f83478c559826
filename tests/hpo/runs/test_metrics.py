"""A run by a metric and a loss of the user's own, on a stream of images of their own, to its end and on again."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pandas as pd
import pytest

from hpo.store.stored_run import read_run
from tests.helpers.commands import printed
from tests.helpers.runs import end, start

EXAMPLE = "tests/examples/criteria.py"
MAKE = "tests/examples/shaken_digits.py:make"


@pytest.mark.slow
def test_they_are_searched_tested_and_taken_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = f"--metric {EXAMPLE}:worst_recall --range loss=focal,{EXAMPLE}:poly1 --dataset {MAKE}"
    settings = "--model mlp_small --stream --epochs 4 --final-seeds 2 --sampler-weights balanced"
    code, out, err = end(start(tmp_path, f"{settings} {own} --trials 3 --name a"), seconds=240)
    assert (code, err) == (0, ""), out + err
    frame, folder = pd.read_csv(tmp_path / "a" / "trials.csv"), tmp_path / "a"
    assert set(frame["loss"]) <= {"focal", f"{EXAMPLE}:poly1"} and set(frame["label_smoothing"]) == {0}
    assert list(frame["val_worst_recall"]) == sorted(frame["val_worst_recall"], reverse=True)
    assert (frame["val_worst_recall"] <= frame["val_accuracy"]).all() and "val worst recall" in out
    study = optuna.load_study(study_name="mlp_small", storage=f"sqlite:///{folder}/study.db")
    assert study.best_trial.value == frame["val_worst_recall"][0]
    curves = pd.read_csv(folder / "curves.csv")
    best = curves[curves["trial_id"] == frame["trial_id"][0]]["val_worst_recall"].max()
    assert best == frame["val_worst_recall"][0]
    (final,) = pd.read_csv(folder / "leaderboard.csv").itertuples()
    assert final.test_worst_recall_low < final.test_worst_recall_mean < final.test_worst_recall_high
    assert final.test_worst_recall_mean < final.test_accuracy_mean
    (finalist,) = read_run(folder).finalists()
    assert finalist.measured.mean == pytest.approx(final.test_worst_recall_mean)
    assert f"hpo train --from {folder}" in out and f"--metric {EXAMPLE}:worst_recall --dataset {MAKE}\n" in out
    assert json.loads((folder / "best.json").read_text())["stream"] is True

    refused = end(start(tmp_path, "--resume a --trials 4"))
    assert refused[0] == 2 and refused[2].endswith(f"to trust it, add {own}\n")
    code, out, err = end(start(tmp_path, f"--resume a --trials 4 --finalists 0 {own}"), seconds=240)
    assert (code, err) == (0, ""), out + err
    assert len(pd.read_csv(folder / "trials.csv")) == 4
    named = ["--metric", f"{EXAMPLE}:worst_recall", "--dataset", MAKE]
    assert "worst recall" in printed(capsys, "evaluate", folder, *named)
