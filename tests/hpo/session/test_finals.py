"""Finals: networks trained anew by a real Ray, the test split opened once."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from hpo import StudyResult, StudySpec, run_study
from hpo.networks.evaluation import evaluate_weights
from hpo.session import finals, session
from hpo.spec.commands.evaluate import EvaluateSpec
from hpo.spec.settings import TrainSpec
from hpo.store.finals_file import packed
from hpo.store.journal import read_journal
from hpo.store.run_folder import RunFolder
from hpo.trials.finalists import FIRST_SEED
from hpo.trials.messages import FinalOutcome
from models import build_model
from tests.helpers.records import record
from trainers.data.dataset import load_dataset

needs_ray = [pytest.mark.slow, pytest.mark.usefixtures("ray_local")]


def run(tmp_path: Path, **settings: Any) -> StudyResult:
    base = {"model": ["mlp_small", "lenet5"], "dataset": "digits", "epochs": 3, "trials": 3, "final_seeds": 2}
    return run_study(StudySpec.of(**{**base, "results_dir": tmp_path, "quiet": True, **settings}))


TRAINED = FinalOutcome(epochs=3, train_s=1.0)
MLP = record(1, trial_id="mlp_small-0001", model="mlp_small", config={"activation": "relu"}, val_accuracy=0.9)


@pytest.fixture
def final_test() -> finals.FinalTest:
    return finals.FinalTest(load_dataset("digits", Path("x")), "cpu", "accuracy")


def weights() -> dict[str, torch.Tensor]:
    return build_model("mlp_small", (1, 28, 28), 10, activation="relu").state_dict()


def test_the_test_is_written_down_once_all_networks_are_there(tmp_path: Path, final_test: finals.FinalTest) -> None:
    folder, told = RunFolder(tmp_path, -1), []
    with closing(finals.Finals(folder, [MLP], (7, 8), final_test, told.append)) as begun:
        first, second = begun.untrained
        begun.keep(first, replace(TRAINED, weights=weights()))
        begun.test_if_whole(MLP)
    assert told == ["[1/2] final of mlp_small-0001, seed 7: 3 epochs, 1.0 s"]
    assert [row["what"] for row in read_journal(folder.finals)] == ["trained"]
    with closing(finals.Finals(folder, [MLP], (7, 8), final_test, told.append)) as again:
        assert again.untrained == [second]  # the other one lies in a file
        again.keep(second, replace(TRAINED, weights=weights()))
        again.test_if_whole(MLP)
        again.test_if_whole(MLP)
    *_, row = read_journal(folder.finals)
    assert (row["what"], row["seeds"], row["images"]) == ("tested", [7, 8], len(final_test.dataset.test))
    (kept,) = folder.final_weights.iterdir()  # until the end of the run
    assert len(read_journal(folder.finals)) == 3 and kept.name == "mlp_small-0001-seed-7.pt"
    with closing(finals.Finals(folder, [MLP], (7, 8), final_test, told.append)) as done:
        assert done.untrained == []


def test_a_finalist_is_tested_with_the_networks_that_could_be_trained(
    tmp_path: Path, final_test: finals.FinalTest
) -> None:
    folder = RunFolder(tmp_path, -1)
    with closing(finals.Finals(folder, [MLP], (7, 8), final_test, lambda _: None)) as begun:
        first, second = begun.untrained
        begun.keep(first, FinalOutcome(error="it died"))
        begun.keep(second, replace(TRAINED, weights=weights()))
        begun.test_if_whole(MLP)
    assert read_journal(folder.finals)[-1]["seeds"] == [8]


def test_damaged_weights_are_made_again(tmp_path: Path, final_test: finals.FinalTest) -> None:
    folder = RunFolder(tmp_path, -1)
    folder.final_weights.mkdir()
    (folder.final_weights / "mlp_small-0001-seed-7.pt").write_bytes(b"damaged")
    with closing(finals.Finals(folder, [MLP], (7,), final_test, lambda _: None)) as begun:
        assert [network.name for network in begun.untrained] == ["mlp_small-0001-seed-7"]
    assert list(folder.final_weights.iterdir()) == []


def test_what_is_to_be_said_of_a_final_is_in_the_log(
    tmp_path: Path, final_test: finals.FinalTest, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(finals.Finals(RunFolder(tmp_path, -1), [record(1)], (7,), final_test, lambda _: None)) as begun:
        begun.keep(begun.untrained[0], replace(TRAINED, warning="its checkpoint is of no use", weights={}))
    assert "cnn-0001-seed-7: its checkpoint is of no use" in caplog.text


@pytest.mark.slow
@pytest.mark.usefixtures("ray_local")
def test_a_run_ends_with_finals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(tmp_path, name="a", quiet=False, seed=3, profile=True)
    out = capsys.readouterr().out
    assert "[4/4] final of " in out and "Finals: trained anew" in out
    board = pd.read_csv(result.folder / "leaderboard.csv")
    assert list(board["rank"]) == [1, 2] and set(board["model"]) == {"mlp_small", "lenet5"}
    assert (board["test_accuracy_low"] < board["test_accuracy_mean"]).all()
    assert (board["test_accuracy_high"] > board["test_accuracy_mean"]).all()
    assert board["test_accuracy_mean"].is_monotonic_decreasing and board["tied_with_best"].iloc[0]
    assert (board["val_accuracy"] - board["test_accuracy_mean"]).to_list() == pytest.approx(list(board["optimism"]))
    for _, row in board.iterrows():
        each = [float(value) for value in row["test_accuracies"].split()]
        assert np.mean(each) == pytest.approx(row["test_accuracy_mean"], abs=1e-6)
        assert np.std(each, ddof=1) == pytest.approx(row["test_accuracy_std"], abs=1e-5)
        seeds = [int(value) for value in row["final_seeds"].split()]
        assert seeds == [FIRST_SEED + 3, FIRST_SEED + 4] and not set(seeds) & set(result.frame["seed"])
    assert not (result.folder / ".finals").exists() and not (result.folder / "checkpoints").exists()
    # The network that is kept has the accuracy that the leaderboard shows for its seed.
    for _, row in board.iterrows():
        spec = EvaluateSpec(train=TrainSpec(device="cpu"))
        kept = evaluate_weights(result.folder / "finals" / f"{row['trial_id']}.pt", spec)
        assert kept.report["accuracy"] == pytest.approx(float(row["test_accuracies"].split()[0]), abs=1e-6)
        if row["trial_id"] == result.frame["trial_id"][0]:
            assert evaluate_weights(result.folder, spec).metrics == kept.metrics
            seen = evaluate_weights(result.folder, replace(spec, split="validation"))
            assert "was trained on these images" in seen.notes[0]
            searched = evaluate_weights(result.folder, replace(spec, split="validation", trial_network=True))
            assert searched.report["accuracy"] == pytest.approx(result.frame["val_accuracy"][0])
    rows = read_journal(result.folder / "finals.jsonl")
    assert sorted(row["what"] for row in rows) == ["tested"] * 2 + ["trained"] * 4
    events = json.loads((result.folder / "timeline.json").read_text())["traceEvents"]
    spans = [(event["pid"], event["name"]) for event in events if event["ph"] == "X"]
    assert {name for group, name in spans if group == 2 and "epoch" not in name} == set(result.frame["trial_id"])
    finals = [name for group, name in spans if group == 3]
    assert sorted(finals) == sorted(
        f"{row['trial_id']}, seed {row['seed']}" for row in rows if row["what"] == "trained"
    )
    assert {"starting Ray", "finals", "writing results and the report"} <= {name for group, name in spans if group == 1}
    # Their learning rate falls to 0 within the three epochs, whichever of them was the best in the search.
    assert all(row["epochs"] == 3 for row in rows if row["what"] == "trained")


@pytest.mark.slow
@pytest.mark.usefixtures("ray_local")
def test_a_finalist_is_what_its_configuration_gives_on_all_but_the_test_images(tmp_path: Path) -> None:
    from trainers.data import dataset as data_module
    from trainers.data.dataset import load_dataset
    from trainers.loop import predict

    result = run(tmp_path, name="a", model="lenet5", trials=2, set="schedule=none")
    (row,) = [row for row in read_journal(result.folder / "finals.jsonl") if row["what"] == "tested"]
    best = json.loads((result.folder / "best.json").read_text())["trial"]
    dataset = load_dataset("digits", tmp_path)
    joined = dataset.training.joined()
    assert len(joined.train) == 1438 and len(joined.validation) == 0
    from functools import partial

    from models import build_model
    from trainers.config import TrainConfig, split_config
    from trainers.single import SingleTrainer

    train, arch = split_config(best["config"])
    make = partial(build_model, "lenet5", dataset.input_shape, 10, **arch)
    trainer = SingleTrainer(make, joined, TrainConfig(**train, epochs=3, seed=row["seeds"][0], threads=1))
    for _ in range(best["best_epoch"]):
        trainer.step()
    test = dataset.test.open()
    model = make()
    model.load_state_dict(trainer.weights())  # the average of the weights, as the trial was scored
    right = (predict(model, test, "float32").argmax(1) == test.labels).numpy()
    assert packed(right) == row["right"][0] and not data_module._sealed


@pytest.mark.slow
@pytest.mark.usefixtures("ray_local")
def test_finals_that_were_interrupted_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_finals = finals.run_finals

    def stopped_after_the_first(
        plan: Any, folder: Any, place: Any, chosen: Any, interrupted: threading.Event, tell: Any
    ) -> Any:
        return run_finals(plan, folder, place, chosen, interrupted, lambda words: (tell(words), interrupted.set()))

    monkeypatch.setattr(session, "run_finals", stopped_after_the_first)
    result = run(tmp_path, name="a", concurrency=1)
    assert (result.state, result.exit_code) == ("interrupted", 130)
    (trained,) = read_journal(result.folder / "finals.jsonl")
    assert (result.folder / ".finals" / f"{trained['trial_id']}-seed-{trained['seed']}.pt").exists()
    assert pd.read_csv(result.folder / "leaderboard.csv")["test_accuracy_mean"].isna().all()
    monkeypatch.undo()
    again = run(tmp_path, resume="a")
    assert again.state == "complete" and len(again.frame) == 6
    rows = read_journal(result.folder / "finals.jsonl")
    assert rows[0] == trained and len([row for row in rows if row["what"] == "trained"]) == 4  # none twice
    board = pd.read_csv(result.folder / "leaderboard.csv")
    assert board["test_accuracy_mean"].notna().all()
    # An extension that is cut short loses nothing of them.
    longer = run(tmp_path, resume="a", trials=30, time_budget="1s")
    tested = set(pd.read_csv(result.folder / "leaderboard.csv").dropna(subset="test_accuracy_mean")["trial_id"])
    leaders = set(longer.frame.groupby("model").first()["trial_id"])
    assert longer.state == "out of time" and tested == leaders & set(board["trial_id"])


@pytest.mark.slow
@pytest.mark.usefixtures("ray_local")
def test_a_finished_run_without_finals_gets_them_later(tmp_path: Path) -> None:
    result = run(tmp_path, name="a", finalists=0, model="mlp_small")
    assert not (result.folder / "finals.jsonl").exists()
    assert pd.read_csv(result.folder / "leaderboard.csv")["test_accuracy_mean"].isna().all()
    run(tmp_path, resume="a", finalists=2, model="mlp_small")
    board = pd.read_csv(result.folder / "leaderboard.csv")
    assert len(board) == 2 and board["test_accuracy_mean"].notna().all() and (board["trials"] == 3).all()


SPY = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()
        if torch.initial_seed() in {seeds}:
            from pathlib import Path
            from trainers.data.dataset import load_dataset
            load_dataset("digits", Path("."), train_size=100).test.open()
        self.layer = nn.Linear(784, num_classes)

    def forward(self, x):
        return self.layer(x.flatten(1))
"""


@pytest.mark.slow
@pytest.mark.parametrize("lost", [1, 2])
@pytest.mark.usefixtures("ray_local")
def test_the_test_split_opens_neither_in_the_search_nor_in_a_finals_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"spy{lost}.py").write_text(SPY.format(seeds=(1, FIRST_SEED + 1, FIRST_SEED + 2 - lost)))
    result = run(tmp_path, name="a", model=f"spy{lost}:Net")
    failed = result.frame[result.frame["state"] == "failed"]
    in_finals = [row["error"] for row in read_journal(result.folder / "finals.jsonl") if "error" in row]
    sealed = "PermissionError: the test split is sealed while networks are chosen and trained"
    assert list(failed["error"]) == [sealed] and in_finals == [sealed] * lost
    board = pd.read_csv(result.folder / "leaderboard.csv")
    if lost == 1:
        assert result.state == "complete" and len(board["test_accuracies"].astype(str).iloc[0].split()) == 1
    else:
        assert result.exit_code == 1 and "no final of " in result.error
        assert board["test_accuracies"].isna().all() and len(result.frame) == 3
