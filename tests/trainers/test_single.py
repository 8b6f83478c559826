from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from models import build_model
from trainers import checkpoint
from trainers.config import OPTIMIZERS, TrainConfig
from trainers.data.dataset import load_dataset
from trainers.data.splits import Split, TrainingData
from trainers.fit import fit
from trainers.single import SingleTrainer, warm_up

make_lenet = partial(build_model, "lenet5", (1, 28, 28), 10, dropout=0.3)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return load_dataset("digits", Path("x"), train_size=300).training


def trained(data: TrainingData, epochs: int, **config: object) -> SingleTrainer:
    trainer = SingleTrainer(make_lenet, data, TrainConfig(**config))  # type: ignore[arg-type]
    for _ in range(epochs):
        trainer.step()
    return trainer


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_it_learns(data: TrainingData, optimizer: str, precision: str) -> None:
    lr = 0.05 if optimizer == "sgd" else 3e-3
    trainer = SingleTrainer(make_lenet, data, TrainConfig(optimizer=optimizer, lr=lr, precision=precision))
    results = [trainer.step()[0] for _ in range(16)]
    assert results[-1].val_accuracy > 0.7 > results[0].val_accuracy
    assert results[-1].train_loss < results[0].train_loss
    assert [r.epoch for r in results] == list(range(1, 17)) and results[0].images == 300


def test_the_same_seed_gives_the_same_weights_whatever_ran_before(data: TrainingData) -> None:
    first = trained(data, 2, seed=3).weights()
    torch.manual_seed(99)
    torch.rand(5)
    assert same(first, trained(data, 2, seed=3).weights())
    assert not same(first, trained(data, 2, seed=4).weights())


def test_the_global_generator_is_left_alone(data: TrainingData) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    trained(data, 1, seed=3)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_save_and_load_go_on_as_if_nothing_had_happened(data: TrainingData, optimizer: str, tmp_path: Path) -> None:
    whole = trained(data, 4, optimizer=optimizer)
    half = trained(data, 2, optimizer=optimizer)
    checkpoint.save(tmp_path / "c.pt", half.save())
    half.close()
    other = trained(data, 0, optimizer=optimizer)
    other.load(checkpoint.load(tmp_path / "c.pt"))
    for _ in range(2):
        other.step()
    assert other.epoch == 4 and same(whole.weights(), other.weights())


def test_a_checkpoint_of_another_architecture_is_refused(data: TrainingData) -> None:
    mlp = SingleTrainer(partial(build_model, "mlp", (1, 28, 28), 10), data, TrainConfig())
    with pytest.raises(RuntimeError, match="in loading state_dict"):
        mlp.load(trained(data, 1).save())


def test_a_last_batch_of_one_image_is_left_out() -> None:
    split = Split(torch.randn(9, 1, 4, 4), torch.arange(9) % 2)
    make = lambda: nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 2))  # noqa: E731
    (result,) = SingleTrainer(make, TrainingData(split, split), TrainConfig(batch_size=4)).step()
    assert result.images == 8


def test_unknown_optimizer(data: TrainingData) -> None:
    with pytest.raises(ValueError, match="optimizer 'lion': choose from adam, adamw, sgd"):
        SingleTrainer(make_lenet, data, TrainConfig(optimizer="lion"))


@pytest.mark.parametrize("schedule", ["step", "cosine", "one-cycle"])
def test_schedule_and_augmentation_go_on_from_a_checkpoint(data: TrainingData, schedule: str, tmp_path: Path) -> None:
    make = partial(build_model, "lenet5", (1, 28, 28), 10, dropout=0.2)
    config = TrainConfig(schedule=schedule, step_epochs=1, epochs=4, augment="rotate-crop", optimizer="sgd", lr=0.05)
    whole, half, other = (SingleTrainer(make, data, config) for _ in range(3))
    fit(whole, 4)
    fit(half, 2)
    checkpoint.save(tmp_path / "c.pt", half.save())
    other.load(checkpoint.load(tmp_path / "c.pt"))
    fit(other, 2)
    theirs = other.weights()
    assert all(torch.equal(value, theirs[name]) for name, value in whole.weights().items())


def test_watch_hears_what_is_done_of_an_epoch_at_each_batch(data: TrainingData) -> None:
    make, heard = partial(build_model, "mlp_small", (1, 28, 28), 10), list[float]()
    SingleTrainer(make, data, TrainConfig(batch_size=128), heard.append).step()
    assert heard == pytest.approx([0, 1 / 3, 2 / 3])


def test_a_warm_up_leaves_data_and_random_numbers_alone(data: TrainingData) -> None:
    images = data.train.images.clone()
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    warm_up(data, TrainConfig())
    assert torch.equal(torch.rand(1), expected) and torch.equal(data.train.images, images)


@pytest.mark.parametrize("trials", [[], [1], [0, 0]])
def test_it_keeps_its_one_trial_only(data: TrainingData, trials: list[int]) -> None:
    with pytest.raises(ValueError, match=r"this trainer has one trial, 0"):
        trained(data, 0).keep(trials)
