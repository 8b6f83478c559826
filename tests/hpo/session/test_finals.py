"""Finals: networks trained anew by a real Ray, the test split opened once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from hpo import StudyResult, StudySpec, run_study
from hpo.session import finals as finals_module
from hpo.session import session
from hpo.store.checkpoints import Checkpoints, FolderStorage
from hpo.store.finals_file import packed, read_finalists
from hpo.store.journal import Journal, read_journal
from hpo.store.run_folder import RunFolder
from hpo.trials.finalists import FIRST_SEED, Finalist, choose, order
from hpo.trials.ranking import rank
from hpo.trials.records import TrialState
from tests.helpers.records import record
from trainers import checkpoint
from trainers.data.dataset import TrainingData, load_dataset

needs_ray = [pytest.mark.slow, pytest.mark.usefixtures("ray_local")]


def run(tmp_path: Path, **settings: Any) -> StudyResult:
    base = {"model": ["mlp_small", "lenet5"], "dataset": "digits", "epochs": 3, "trials": 3, "final_seeds": 2}
    result = run_study(StudySpec.of(**{**base, "results_dir": tmp_path, "quiet": True, **settings}))
    assert result is not None
    return result


def test_the_best_of_each_architecture_that_is_usable() -> None:
    records = [
        record(0, model="cnn", val_accuracy=0.9),
        record(1, model="mlp", val_accuracy=0.8),
        record(2, model="cnn", val_accuracy=0.95),
        record(3, model="cnn", val_accuracy=0.99, state=TrialState.DIVERGED),
        record(4, model="vgg", state=TrialState.FAILED),
    ]
    ranked = rank(records)
    assert [r.trial_id[-1] for r in choose(ranked, 1)] == ["2", "1"]
    assert [r.trial_id[-1] for r in choose(ranked, 2)] == ["2", "0", "1"]
    assert choose(ranked, 0) == []


def finalist(number: int, wrong: int, parameters: int = 10) -> Finalist:
    right = np.ones((3, 1000), dtype=bool)
    right[:, :wrong] = False
    return Finalist(record(number, val_accuracy=0.99, parameters=parameters), (1, 2, 3), right)


def test_finalists_are_ordered_by_test_accuracy_and_say_who_is_tied() -> None:
    ordered = order([finalist(0, 200), finalist(1, 12, 99), finalist(2, 12, 5), finalist(3, 13)])
    assert [f.record.trial_id[-1] for f in ordered] == ["2", "1", "3", "0"]
    assert [f.tied_with_best for f in ordered] == [True, True, True, False]
    assert ordered[0].optimism == pytest.approx(0.99 - 0.988)
    assert order([]) == []


def test_what_was_right_survives_the_journal(tmp_path: Path) -> None:
    right = np.random.default_rng(0).random((3, 359)) < 0.9
    journal = Journal(tmp_path / "finals.jsonl")
    row = {"what": "tested", "trial_id": "cnn-0001", "asked": [7, 8, 9], "seeds": [7, 8, 9], "images": 359}
    journal.append({**row, "right": [packed(one) for one in right]})
    journal.close()
    one = record(1, val_accuracy=0.9)
    (found,) = read_finalists(tmp_path / "finals.jsonl", [one, record(2)], [7, 8])
    assert found.record == one and found.seeds == (7, 8, 9) and (found.right == right).all()
    assert read_finalists(tmp_path / "finals.jsonl", [one], [7, 8, 9, 10]) == []  # more seeds are asked for now


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, Any]]:
    """Trains one network of three epochs, as a worker does, in this process."""
    arrays = load_dataset("digits", Path("x"), train_size=150).training.joined().to_arrays()
    monkeypatch.setattr(finals_module.ray, "get", lambda reference: reference)
    # The real one seals the test split for the rest of the process.
    monkeypatch.setattr(finals_module, "prepare", lambda found, _: TrainingData.from_arrays(found))
    settings = {
        "name": "mlp-0001-seed-7",
        "model": "mlp",
        "params": {"lr": 1e-3, "dropout": 0.2, "batch_size": 32, "activation": "relu", "optimizer": "adam"},
        "seed": 7,
        "best_epoch": 3,
        "epochs": 3,
        "input_shape": (1, 28, 28),
        "num_classes": 10,
        "checkpoints": FolderStorage(tmp_path),
        "import_from": "",
        "train": {"precision": "float32", "device": "cpu", "threads": 1},
        "workers": 1,
        "gpus": 0,
    }
    return lambda: finals_module.train_network([arrays], settings)  # type: ignore[list-item]


@pytest.fixture
def cut_short(
    train: Callable[[], dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, dict[str, Any]]:
    """The checkpoint of the first epoch, from where the network's worker died; and what it comes to as a whole."""
    whole = train()
    monkeypatch.setattr(Checkpoints, "remove", lambda *_: None)
    train()
    assert not (tmp_path / "mlp-0001-seed-7@000003.pt").exists()
    return tmp_path / "mlp-0001-seed-7@000001.pt", whole


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(torch.equal(value, other["weights"][name]) for name, value in one["weights"].items())


def test_a_network_that_was_cut_short_goes_on(train: Any, cut_short: tuple[Path, dict[str, Any]]) -> None:
    assert checkpoint.load(cut_short[0])["trainer"]["epoch"] == 1
    again = train()
    assert again["warning"] == "" and again["epochs"] == 3 and equal(again, cut_short[1])


def test_a_networks_checkpoint_of_another_device_goes_on_and_says_so(
    train: Any, cut_short: tuple[Path, dict[str, Any]]
) -> None:
    path, whole = cut_short
    state = checkpoint.load(path)
    checkpoint.save(path, {**state, "trainer": {**state["trainer"], "noise": torch.zeros(16, dtype=torch.uint8)}})
    again = train()
    assert again["warning"].startswith("the checkpoint is from another device than cpu") and again["epochs"] == 3
    assert not equal(again, whole) and again["train_s"] > state["train_s"]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"trainer": {"epoch": 1}, "train_s": 9.0}, "its checkpoint is of no use (KeyError: 'model'): it begins anew"),
        ({"trainer": {"epoch": 1}}, "000001.pt: not a trial's checkpoint (KeyError: 'train_s'): passed over"),
    ],
)
def test_a_networks_checkpoint_of_no_use_means_from_the_beginning(
    state: dict[str, Any], words: str, train: Any, cut_short: tuple[Path, dict[str, Any]]
) -> None:
    path, whole = cut_short
    checkpoint.save(path, state)
    again = train()
    assert again["warning"].endswith(words) and equal(again, whole) and again["train_s"] < 9


def test_what_is_to_be_said_of_a_final_is_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    finals = finals_module._Finals.__new__(finals_module._Finals)
    finals.folder, finals.journal, finals.failed = RunFolder(tmp_path, -1), Journal(tmp_path / "finals.jsonl"), set()
    finals.total, finals.done, finals.tell = 1, 0, lambda _: None
    outcome = {"epochs": 3, "train_s": 1.0, "diverged": False, "warning": "its checkpoint is of no use", "weights": {}}
    finals.keep(finals_module.Network(record(1), 7), outcome)
    assert "cnn-0001-seed-7: its checkpoint is of no use" in caplog.text


@pytest.mark.slow
@pytest.mark.usefixtures("ray_local")
def test_a_run_ends_with_finals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(tmp_path, name="a", quiet=False, seed=3)
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
    rows = read_journal(result.folder / "finals.jsonl")
    assert sorted(row["what"] for row in rows) == ["tested"] * 2 + ["trained"] * 4
    best = result.frame.set_index("trial_id")["best_epoch"]
    assert all(row["epochs"] == best[row["trial_id"]] for row in rows if row["what"] == "trained")


@pytest.mark.slow
@pytest.mark.usefixtures("ray_local")
def test_a_finalist_is_what_its_configuration_gives_on_all_but_the_test_images(tmp_path: Path) -> None:
    from trainers.data import dataset as data_module
    from trainers.data.dataset import load_dataset
    from trainers.loop import predict

    result = run(tmp_path, name="a", model="lenet5", trials=2)
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
    right = (predict(trainer.model, test, "float32").argmax(1) == test.labels).numpy()
    assert packed(right) == row["right"][0] and not data_module._sealed


@pytest.mark.slow
@pytest.mark.usefixtures("ray_local")
def test_finals_that_were_interrupted_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_finals = finals_module.run_finals

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
