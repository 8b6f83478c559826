"""Trials that are trained as one network, on a real Ray: rows, Optuna's trials, kills and resuming."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import optuna
import pandas as pd
import pytest

from hpo.store.journal import read_journal
from tests.helpers.runs import check_complete, end, finished, kill_worker, start, wait_for

pytestmark = pytest.mark.slow
LINE = "--model lenet5 --finalists 0 --epochs 9 --dataset digits --name a --fuse 5 --concurrency 1"
SHAPE, OWN = ["batch_size", "activation"], ["lr", "dropout", "label_smoothing"]


def test_every_lane_is_a_row_and_a_trial_in_optuna(tmp_path: Path) -> None:
    line = LINE.replace("--finalists 0", "--final-seeds 1 --learn-from none")  # which would begin with several shapes
    code, out, err = end(start(tmp_path, f"{line} --trials 12 --seed 2"))
    assert code == 0, err
    assert "runs on: 1 group of up to 5 trials at once" in out
    frame = check_complete(tmp_path, 12).sort_values("trial_id")
    assert json.loads((tmp_path / "a" / "study.json").read_text())["resources"]["group_size"] == {"lenet5": 5}
    arrays = [frame.iloc[:5], frame.iloc[5:10], frame.iloc[10:]]
    for array in arrays:
        assert len(array[SHAPE].drop_duplicates()) == 1 and len(array[OWN].drop_duplicates()) == len(array)
        assert set(array["group_size"]) == {len(array)} and set(array["state"]) <= {"completed", "stopped"}
        assert array["seed"].nunique() == len(array)
    assert all(any(array[name].nunique() > 1 for array in arrays) for name in OWN)
    assert len(frame[SHAPE].drop_duplicates()) > 1
    assert frame.iloc[0]["lr"] == 3e-3 and frame.iloc[0]["activation"] == "relu"  # the architecture's default
    # Of the first array, of which nothing is known before, the best of five go on at 2 and of these at 6 epochs.
    assert sorted(arrays[0]["epochs"]) == [2, 2, 2, 6, 9]
    study = optuna.load_study(study_name="lenet5", storage=f"sqlite:///{tmp_path}/a/study.db")
    for trial, row in zip(study.trials, frame.to_dict("records"), strict=True):
        assert len(trial.intermediate_values) == row["epochs"]
        assert trial.params["lr"] == row["lr"] and max(trial.intermediate_values.values()) == row["val_accuracy"]
        assert (trial.state.name == "COMPLETE") == (row["state"] == "completed")
    (final,) = pd.read_csv(tmp_path / "a" / "leaderboard.csv").itertuples()
    assert final.test_accuracy_mean > 0.85 and (tmp_path / "a" / "best.pt").exists()


@pytest.mark.parametrize("after", [2, pytest.param(5, marks=pytest.mark.long)])
def test_a_killed_driver_loses_nothing(tmp_path: Path, after: int) -> None:
    process = start(tmp_path, f"{LINE} --trials 7")
    wait_for(lambda: finished(tmp_path) >= after, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = read_journal(tmp_path / "a" / "trials.jsonl")
    code, _, err = end(start(tmp_path, "--resume a"))
    assert code == 0, err
    check_complete(tmp_path, 7)
    assert "begins anew" not in (tmp_path / "a" / "logs" / "hpo.log").read_text()
    rows = {row["trial_id"]: row for row in read_journal(tmp_path / "a" / "trials.jsonl")}
    assert all(rows[row["trial_id"]] == row for row in before)
    assert any(rows[name]["group_size"] > 1 for name in set(rows) - {row["trial_id"] for row in before})


def test_a_killed_worker_costs_its_array_the_epochs_since_its_checkpoint(tmp_path: Path) -> None:
    line = LINE.replace("--epochs 9", "--epochs 45 --learn-from none --seed 2")  # one array, decided together
    process = start(tmp_path, f"{line} --trials 5")
    wait_for(lambda: finished(tmp_path) >= 3, process)  # three lanes left at the first rung
    wait_for(lambda: list((tmp_path / "a" / "checkpoints").glob("*@000003.pt")), process)
    kill_worker(process)
    code, _, err = end(process, 240)
    assert code == 0, err
    frame = check_complete(tmp_path, 5).sort_values("epochs")
    assert list(frame["epochs"])[:3] == [2, 2, 2] and list(frame["retries"])[:3] == [0, 0, 0]
    assert frame["epochs"].max() == 45 and frame["retries"].iloc[-1] == 1


@pytest.mark.long
def test_a_run_goes_on_with_another_way_to_train(tmp_path: Path) -> None:
    process = start(tmp_path, f"{LINE} --trials 8")
    wait_for(lambda: finished(tmp_path) >= 1, process)
    process.send_signal(signal.SIGINT)
    assert end(process, 30)[0] == 130
    code, _, err = end(start(tmp_path, "--resume a --fuse off"))
    assert code == 0, err
    frame = check_complete(tmp_path, 8)
    assert set(frame["group_size"]) == {1, 5}


def test_diverging_lanes_are_rows_and_the_others_go_on(tmp_path: Path) -> None:
    line = f"{LINE} --set optimizer=sgd --range lr=1e-3:1e9:log --scheduler none --sampler random --trials 10"
    code, _, err = end(start(tmp_path, line.replace("lenet5", "mlp_small")))
    assert code == 0, err
    frame = pd.read_csv(tmp_path / "a" / "trials.csv")
    assert {"diverged", "completed"} <= set(frame["state"]) and len(frame) == 10
    assert (frame[frame["state"] == "completed"]["epochs"] == 9).all()
    assert frame[frame["state"] == "diverged"]["error"].str.startswith("loss is not finite in epoch").all()
