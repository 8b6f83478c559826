"""A network of the finals on its worker, without Ray."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.store.checkpoint_stores import FolderStorage
from hpo.store.checkpoints import Checkpoints
from hpo.trials.messages import FinalOutcome, FinalRequest
from hpo.worker import final
from hpo.worker.settings import WorkerSettings
from trainers import checkpoint
from trainers.data.dataset import load_dataset
from trainers.data.splits import TrainingData


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], FinalOutcome]:
    """Trains one network of three epochs, as a worker does, in this process."""
    arrays = load_dataset("digits", Path("x"), train_size=150).training.joined().to_arrays()
    monkeypatch.setattr(final.ray, "get", lambda reference: reference)
    # The real one seals the test split for the rest of the process.
    monkeypatch.setattr(final, "prepare", lambda found, _: TrainingData.from_arrays(found))
    settings = WorkerSettings(
        model="mlp",
        epochs=3,
        input_shape=(1, 28, 28),
        num_classes=10,
        checkpoints=FolderStorage(tmp_path),
        seed=0,
        precision="float32",
        metric="accuracy",
        device="cpu",
        threads=1,
    )
    params = {"lr": 1e-3, "dropout": 0.2, "batch_size": 32, "activation": "relu", "optimizer": "adam"}
    request = FinalRequest(name="mlp-0001-seed-7", params=params, seed=7, epochs=3)
    return lambda: final.train_network([arrays], settings, request)  # type: ignore[list-item]


@pytest.fixture
def cut_short(
    train: Callable[[], FinalOutcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, FinalOutcome]:
    """The checkpoint of the first epoch, from where the network's worker died; and what it comes to as a whole."""
    whole = train()
    monkeypatch.setattr(Checkpoints, "remove", lambda *_: None)
    train()
    assert not (tmp_path / "mlp-0001-seed-7@000003.pt").exists()
    return tmp_path / "mlp-0001-seed-7@000001.pt", whole


def equal(one: FinalOutcome, other: FinalOutcome) -> bool:
    return all(torch.equal(value, other.weights[name]) for name, value in one.weights.items())


def test_a_network_that_was_cut_short_goes_on(train: Any, cut_short: tuple[Path, FinalOutcome]) -> None:
    assert checkpoint.load(cut_short[0])["trainer"]["epoch"] == 1
    again = train()
    assert again.warning == "" and again.epochs == 3 and equal(again, cut_short[1])


def test_a_networks_checkpoint_of_another_device_goes_on_and_says_so(
    train: Any, cut_short: tuple[Path, FinalOutcome]
) -> None:
    path, whole = cut_short
    state = checkpoint.load(path)
    checkpoint.save(path, {**state, "trainer": {**state["trainer"], "noise": torch.zeros(16, dtype=torch.uint8)}})
    again = train()
    assert again.warning.startswith("the checkpoint is from another device than cpu") and again.epochs == 3
    assert not equal(again, whole) and again.train_s > state["train_s"]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"trainer": {"epoch": 1}, "train_s": 9.0}, "its checkpoint is of no use (KeyError: 'model'): it begins anew"),
        ({"trainer": {"epoch": 1}}, "000001.pt: not a trial's checkpoint (KeyError: 'train_s'): skipped"),
    ],
)
def test_a_networks_checkpoint_of_no_use_means_from_the_beginning(
    state: dict[str, Any], words: str, train: Any, cut_short: tuple[Path, FinalOutcome]
) -> None:
    path, whole = cut_short
    checkpoint.save(path, state)
    again = train()
    assert again.warning.endswith(words) and equal(again, whole) and again.train_s < 9
