from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from models import build_model
from trainers.config import OPTIMIZERS, TrainConfig
from trainers.data.dataset import Split, TrainingData, load_dataset
from trainers.single import SingleTrainer

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
    from trainers import checkpoint

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
    (result,) = SingleTrainer(make, TrainingData(split, split, (0.0,)), TrainConfig(batch_size=4)).step()
    assert result.images == 8


def test_unknown_optimizer(data: TrainingData) -> None:
    with pytest.raises(ValueError, match="optimizer 'lion': choose from adam, adamw, sgd"):
        SingleTrainer(make_lenet, data, TrainConfig(optimizer="lion"))
