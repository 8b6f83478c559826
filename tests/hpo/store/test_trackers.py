"""TensorBoard and MLflow, read back as their users do."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboardX.event_file_writer import EventsWriter

from hpo import StudySpec, run_study
from hpo.run import main
from hpo.store.trackers import MLflow, TensorBoard, make_trackers
from hpo.trials.messages import TrialReport
from hpo.trials.records import TrialState
from tests.helpers.records import record
from tests.helpers.reports import epoch as an_epoch
from tests.helpers.reports import request


def epoch(number: int, accuracy: float, loss: float | None = 0.5) -> dict[str, Any]:
    values = {"val_accuracy": accuracy, "val_loss": loss, "train_accuracy": accuracy, "train_loss": loss}
    return {"epoch": number, **values}


def told(*epochs: dict[str, Any]) -> TrialReport:
    each = [an_epoch(e["epoch"], e["val_accuracy"], val_loss=e["val_loss"], train_loss=e["train_loss"]) for e in epochs]
    return TrialReport(trial_id="", state=TrialState.RUNNING, curve=tuple(each))


def scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder)).Reload()
    return [(event.step, pytest.approx(event.value)) for event in events.Scalars(name)]


def test_tensorboard_has_every_epoch_of_every_trial(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path)
    board.reported(request("cnn-0000"), told(epoch(1, 0.5)))
    board.reported(request("cnn-0001"), told(epoch(1, 0.75, math.inf)))
    board.reported(request("cnn-0000"), told(epoch(2, 0.625), epoch(3, 0.875)))
    board.finished(record(0))
    board.reported(request("cnn-0000"), told(epoch(4, 1.0)))  # resumed: a second file in the same folder
    board.close()
    assert scalars(tmp_path / "cnn-0000", "val_accuracy") == [(1, 0.5), (2, 0.625), (3, 0.875), (4, 1.0)]
    assert scalars(tmp_path / "cnn-0001", "val_accuracy") == [(1, 0.75)]
    assert "val_loss" not in EventAccumulator(str(tmp_path / "cnn-0001")).Reload().Tags()["scalars"]


def test_a_disk_that_is_full_is_an_error_and_no_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(EventsWriter, "flush", full)
    board = TensorBoard(tmp_path)
    for number in range(1, 30):
        with pytest.raises(OSError, match="No space"):
            board.reported(request("cnn-0000"), told(epoch(number, 0.5)))
    board.close()


def test_mlflow_has_every_trial_with_its_curve_and_state(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    curve = [epoch(1, 0.5), epoch(2, 0.625, None)]
    tracker = MLflow(uri, "a run")
    tracker.finished(record(0, val_accuracy=0.625, epochs=2, curve=curve, config={"lr": 0.1, "activation": "relu"}))
    tracker.finished(record(1, state=TrialState.FAILED, val_accuracy=None, error="OSError: disk full"))
    MLflow(uri, "a run").finished(record(2))  # resumed
    client = MlflowClient(tracking_uri=uri)
    (found,) = (e for e in client.search_experiments() if e.name == "a run")
    good, bad, _ = sorted(client.search_runs([found.experiment_id]), key=lambda run: run.info.run_name)
    assert good.info.run_name == "cnn-0000" and good.info.status == "FINISHED"
    assert good.data.params == {"lr": "0.1", "activation": "relu", "seed": str(record(0).seed)}
    history = client.get_metric_history(good.info.run_id, "val_accuracy")
    assert [(each.step, each.value) for each in history] == [(1, 0.5), (2, 0.625)]
    assert len(client.get_metric_history(good.info.run_id, "val_loss")) == 1
    assert good.data.metrics["best_val_accuracy"] == 0.625
    assert bad.info.status == "FAILED" and bad.data.tags["error"] == "OSError: disk full"


def test_only_what_is_asked_for(tmp_path: Path) -> None:
    assert make_trackers(tmp_path, tensorboard=False, mlflow=None) == []
    kinds = [type(each) for each in make_trackers(tmp_path, tensorboard=True, mlflow="sqlite:///x.db")]
    assert kinds == [TensorBoard, MLflow]


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "nonsense://x"])
def test_a_store_that_is_not_there_is_a_mistake(uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", "mlp_small", "--trials", "1", "--dataset", "digits", "--results-dir", str(tmp_path / "r")]
    assert main([*words, "--mlflow", uri]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"hpo: --mlflow {uri}: cannot be used (") and err.count("\n") == 1
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_local")
def test_a_run_is_followed_in_both(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    settings = {"model": "mlp_small", "trials": 3, "epochs": 3, "dataset": "digits", "finalists": 0, "quiet": True}
    result = run_study(StudySpec.of(**settings, results_dir=tmp_path, name="both", tensorboard=True, mlflow=uri))
    assert result is not None and result.state == "complete"
    curves = pd.read_csv(result.folder / "curves.csv")
    for trial_id, rows in curves.groupby("trial_id"):
        expected = list(zip(rows["epoch"], rows["val_accuracy"], strict=True))
        assert scalars(result.folder / "tensorboard" / str(trial_id), "val_accuracy") == expected
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("both")
    assert experiment is not None and len(client.search_runs([experiment.experiment_id])) == 3
