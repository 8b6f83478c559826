"""A lane on its worker, without Ray: results, states, checkpoints."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from hpo.checkpoints import Checkpoints, Folder
from hpo.trial import Lane, Trial
from trainers.data import TrainingData, load_dataset


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return load_dataset("digits", Path("x"), train_size=200).training


def settings(folder: Path, **changed: Any) -> dict[str, Any]:
    return {
        "model": "mlp",
        "import_from": "",
        "input_shape": (1, 28, 28),
        "num_classes": 10,
        "epochs": 4,
        "rungs": (1, 3),
        "deadline": math.inf,
        "checkpoints": Folder(folder),
        "cluster": False,
        "node": "here",
        "timeout": None,
        "workers": 1,
        "seed": 10,
        "train": {"precision": "float32", "device": "cpu", "threads": 1},
        **changed,
    }


def lane(number: int = 0, **params: Any) -> dict[str, Any]:
    config = {"lr": 1e-3, "dropout": 0.1, "batch_size": 32, "activation": "relu", "optimizer": "adam", **params}
    return {"trial_id": f"mlp-{number:04d}", "number": number, "params": config, "asked_at": time.time() - 2}


def steps(run: Lane) -> list[dict[str, Any]]:
    reports = [run.step()]
    while reports[-1]["state"] == "running":
        reports.append(run.step())
    return reports


def test_it_reports_each_epoch_and_the_columns_of_the_best(data: TrainingData, tmp_path: Path) -> None:
    reports = steps(Lane(data, settings(tmp_path), lane()))
    assert [r["state"] for r in reports] == ["running"] * 3 + ["completed"]
    assert [r["values"][0][0] for r in reports] == [1, 2, 3, 4]
    last = reports[-1]
    curve = [epoch for r in reports for epoch in r["curve"]]
    best = max(curve, key=lambda e: (e["val_accuracy"], -e["epoch"]))
    for column in ("val_accuracy", "val_loss", "train_accuracy", "train_loss"):
        assert last[column] == best[column]
    assert last["best_epoch"] == best["epoch"] and last["value"] == best["val_accuracy"]
    assert last["queue_s"] >= 2 and last["parameters"] == 109_386
    assert last["wall_time_s"] >= last["setup_s"] + last["train_s"] + last["eval_s"]
    assert last["images_per_s"] == pytest.approx(800 / last["train_s"])


def test_a_trial_diverges_and_keeps_its_finite_epochs(data: TrainingData, tmp_path: Path) -> None:
    reports = steps(Lane(data, settings(tmp_path), lane(lr=1e10, optimizer="sgd")))
    assert reports[-1]["state"] == "diverged" and reports[-1]["error"].startswith("loss is not finite in epoch")
    assert all(math.isfinite(value) for r in reports for _, value in r["values"])
    assert any(epoch["train_loss"] is None for epoch in reports[-1]["curve"])


def test_a_worker_that_died_is_taken_over_at_the_last_rung(data: TrainingData, tmp_path: Path) -> None:
    whole = steps(Lane(data, settings(tmp_path / "a"), lane()))
    cut = Lane(data, settings(tmp_path / "b"), {**lane(), "asked_at": time.time() - 50})
    for _ in range(3):
        cut.step()
    rest = steps(Lane(data, settings(tmp_path / "b"), lane()))
    assert [r["epochs"] for r in rest] == [4]
    assert [epoch for epoch, _ in rest[0]["values"]] == [1, 2, 3, 4]  # what the dead one's driver may not know
    assert rest[0]["values"] == [v for r in whole for v in r["values"]]
    assert rest[0]["wall_time_s"] > rest[0]["train_s"] + rest[0]["eval_s"]
    assert rest[0]["queue_s"] == pytest.approx(50, abs=2)  # before the first start, not the second
    earlier = rest[0]["before"]  # asked for anew: by another session
    assert 0 < earlier["train_s"] < rest[0]["train_s"] and earlier["wall_time_s"] < rest[0]["wall_time_s"]


def test_a_worker_that_died_within_a_session_leaves_all_times_to_it(data: TrainingData, tmp_path: Path) -> None:
    asked = lane()
    cut = Lane(data, settings(tmp_path), asked)
    cut.step()
    assert Lane(data, settings(tmp_path), asked).step()["before"] == {}


def test_a_finished_trial_whose_driver_died_trains_no_more(data: TrainingData, tmp_path: Path) -> None:
    done = steps(Lane(data, settings(tmp_path), lane()))[-1]
    (again,) = steps(Lane(data, settings(tmp_path), lane()))
    assert again["state"] == "completed" and again["train_s"] == done["train_s"]


def test_a_damaged_checkpoint_means_from_the_one_before(data: TrainingData, tmp_path: Path) -> None:
    cut = Lane(data, settings(tmp_path), lane())
    for _ in range(3):
        cut.step()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mlp-0000@000001.pt", "mlp-0000@000003.pt"]
    newest = tmp_path / "mlp-0000@000003.pt"
    newest.write_bytes(newest.read_bytes()[:-100])
    first = Lane(data, settings(tmp_path), lane()).step()
    assert first["epochs"] == 2 and "mlp-0000@000003.pt: not a readable checkpoint" in first["warning"]
    for path in tmp_path.iterdir():
        path.write_bytes(b"half a checkp")
    assert Lane(data, settings(tmp_path), lane()).step()["epochs"] == 1


def test_a_trial_that_takes_too_long_fails_with_the_epochs_it_did(data: TrainingData, tmp_path: Path) -> None:
    slow = {"timeout": 0.5, "epochs": 400, "rungs": (1,)}
    ask = lane()
    trial = trainable(data, {"lanes": [ask]}, settings(tmp_path, **slow))
    results = [trial.step()]
    while not results[-1]["done"]:
        results.append(trial.step())
    trial.cleanup()
    (report,) = results[-1]["lanes"]
    assert report["state"] == "failed" and 1 <= report["epochs"] == len(results) - 1
    assert report["error"] == "TimeoutError: longer than --trial-timeout allows (0.5 s)"
    # After one that hung, the worker that takes the trial over knows; asked for anew, the trial goes on.
    Checkpoints(Folder(tmp_path)).mark_late(ask["trial_id"], ask["asked_at"])
    other = trainable(data, {"lanes": [ask]}, settings(tmp_path, **slow))
    (again,) = other.step()["lanes"]
    other.cleanup()
    assert again["state"] == "failed" and again["epochs"] == 1
    fresh = trainable(data, {"lanes": [lane()]}, settings(tmp_path, **slow))
    assert fresh.step()["lanes"][0]["state"] == "running"
    fresh.cleanup()


def test_the_time_budget_stops_a_trial_after_its_epoch_with_its_weights_saved(
    data: TrainingData, tmp_path: Path
) -> None:
    run = Lane(data, settings(tmp_path, deadline=0.0, rungs=()), lane())
    assert [r["state"] for r in steps(run)] == ["stopped"]
    assert (tmp_path / "mlp-0000@000001.pt").exists()


def test_a_set_up_that_fails_leaves_no_timer_behind(data: TrainingData, tmp_path: Path) -> None:
    def timers() -> int:
        return sum(isinstance(t, threading.Timer) and not t.finished.is_set() for t in threading.enumerate())

    trial = trainable(data, {"lanes": [lane(activation="swish")]}, settings(tmp_path, timeout=60.0))
    assert trial.step()["lanes"][0]["state"] == "failed" and timers() == 0
    trial.reset_config({"lanes": [lane(1)]})
    assert trial.step()["lanes"][0]["state"] == "running" and timers() == 0
    trial.cleanup()


def test_seed_is_the_studys_plus_the_trials_number(data: TrainingData, tmp_path: Path) -> None:
    one = Lane(data, settings(tmp_path / "a", seed=10), lane(3)).step()
    other = Lane(data, settings(tmp_path / "b", seed=13), lane(0)).step()
    assert one["val_loss"] == other["val_loss"]


def trainable(data: TrainingData, config: dict[str, Any], shared: dict[str, Any]) -> Trial:
    trial = Trial.__new__(Trial)
    trial.data, trial.settings = data, shared
    trial._begin(config)
    return trial


def test_an_error_becomes_a_state_and_the_actor_goes_on(data: TrainingData, tmp_path: Path) -> None:
    trial = trainable(data, {"lanes": [lane(activation="swish")]}, settings(tmp_path))
    result = trial.step()
    (report,) = result["lanes"]
    assert result["done"] and report["state"] == "failed" and report["epochs"] == 0
    assert report["error"].startswith("ValueError: activation 'swish'") and "Traceback" in report["traceback"]
    assert trial.reset_config({"lanes": [lane(1)]})
    assert trial.step()["lanes"][0]["state"] == "running"
    trial.cleanup()


def test_an_error_in_the_middle_keeps_what_was_measured(data: TrainingData, tmp_path: Path) -> None:
    trial = trainable(data, {"lanes": [lane()]}, settings(tmp_path))
    trial.step()
    trial.run.trainer.optimizer = None  # type: ignore[union-attr]
    (report,) = trial.step()["lanes"]
    assert report["state"] == "failed" and report["epochs"] == 1 and report["val_accuracy"] is not None
    assert trial.step()["lanes"][0] == report


def test_a_checkpoint_that_cannot_be_written_costs_the_trial_nothing(data: TrainingData, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    last = steps(Lane(data, settings(tmp_path / "file"), lane()))[-1]
    assert last["state"] == "completed" and last["warning"].endswith("file: no checkpoint written (File exists)")
