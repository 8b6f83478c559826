"""How a trial comes to its trainer."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.worker.trainer_factory import make_group_trainer, make_trainer, take_up
from tests.helpers.workers import ask, settings
from trainers.data.dataset import load_dataset
from trainers.data.splits import TrainingData
from trainers.fused.trainer import FusedTrainer
from trainers.single import SingleTrainer


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return load_dataset("digits", Path("x"), train_size=100).training


def maker(data: TrainingData, folder: Path) -> Any:
    return partial(make_trainer, data, settings(folder), ask().params, 7, None)


def test_a_trials_seed_is_the_studys_plus_its_number(data: TrainingData, tmp_path: Path) -> None:
    trainer = make_group_trainer(data, settings(tmp_path, seed=4), [ask(3)], None)
    alike = maker(data, tmp_path)()
    assert isinstance(trainer, SingleTrainer)
    (one,), (other,) = trainer.step(), alike.step()
    assert one.train_loss == other.train_loss


def test_fused_trials_have_one_trainer(data: TrainingData, tmp_path: Path) -> None:
    trainer = make_group_trainer(data, settings(tmp_path, is_fused=True), [ask(0), ask(1, lr=1e-2)], None)
    assert isinstance(trainer, FusedTrainer) and len(trainer.step()) == 2


def test_a_trainer_goes_on_from_its_state(data: TrainingData, tmp_path: Path) -> None:
    make = maker(data, tmp_path)
    first = make()
    first.step()
    trainer, warning, goes_on = take_up(make, [first.save()], None)
    assert (trainer.epoch, warning, goes_on) == (1, "", True)
    fresh, warning, goes_on = take_up(make, [], None)
    assert (fresh.epoch, warning, goes_on) == (0, "", False)


def test_a_state_of_another_network_means_from_the_beginning(data: TrainingData, tmp_path: Path) -> None:
    make = maker(data, tmp_path)
    trainer, warning, goes_on = take_up(make, [{**make().save(), "model": {}}], None)
    assert (trainer.epoch, goes_on) == (0, False)
    assert warning.startswith("its checkpoint is of no use (RuntimeError: ") and warning.endswith("it begins anew")


def test_no_memory_is_no_fault_of_the_state(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> str:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(SingleTrainer, "load", full)
    with pytest.raises(torch.OutOfMemoryError):
        take_up(maker(data, tmp_path), [{}], None)
