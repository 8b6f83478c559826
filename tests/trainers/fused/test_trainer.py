"""Fused trials against single runs, on the CPU, in doubles where what is compared would else be rounding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.layers import Dropout
from tests.helpers.fusing import (
    FUSIBLE,
    Make,
    assert_as_alone,
    assert_equal,
    assert_same,
    configs,
    digits,
    digits_in_doubles,
    fused,
    in_doubles,
    make,
    single,
)
from trainers import checkpoint
from trainers.config import TrainConfig
from trainers.data.splits import TrainingData
from trainers.fused.trainer import FusedTrainer
from trainers.single import SingleTrainer


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return digits()


@pytest.fixture(scope="module")
def doubles() -> TrainingData:
    return digits_in_doubles()


FAST = ("mlp_small", "lenet5", "lenet5_bn")
EACH = [
    pytest.param(name, optimizer, marks=[] if name in FAST else [pytest.mark.slow])
    for name in FUSIBLE
    for optimizer in (("adam", "adamw", "sgd", "each") if name in FAST else ("adam",))
]


@pytest.mark.parametrize(("name", "optimizer"), EACH)
def test_fused_trials_are_what_single_runs_are(name: str, optimizer: str, doubles: TrainingData) -> None:
    settings, epochs = configs(optimizer=optimizer), 2 if name in FAST else 1
    network = in_doubles(make(name, dropout=0.0))
    trainer, results = fused([network] * 3, doubles, settings, epochs)
    for trial, config in enumerate(settings):
        assert_as_alone((trainer, results), trial, network, doubles, config, epochs)


def test_they_are_in_float32_too_up_to_rounding(data: TrainingData) -> None:
    settings = configs(optimizer="sgd", momentum=0.5)
    trainer, results = fused([make("cnn", activation="tanh")] * 3, data, settings)
    for trial, config in enumerate(settings):
        alone, curve = single(make("cnn", activation="tanh"), data, config)
        assert_equal([epoch[trial] for epoch in results], curve, most=1e-4)
        assert_same(trainer.weights(trial), alone.weights(), most=1e-4)


@pytest.mark.parametrize("schedule", ["step", "cosine", "one-cycle", "wsd", "linear"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "each"])
def test_a_schedule_is_each_trials_own(schedule: str, optimizer: str, doubles: TrainingData) -> None:
    settings = configs(optimizer=optimizer, schedule=schedule, step_epochs=1, epochs=3)
    network = in_doubles(make("mlp_small"))
    trainer, results = fused([network] * 3, doubles, settings, epochs=3)
    for trial, config in enumerate(settings):
        assert_as_alone((trainer, results), trial, network, doubles, config, epochs=3)


def test_a_trial_that_diverges_does_not_touch_the_others(doubles: TrainingData) -> None:
    settings = configs(optimizer="sgd")
    settings[1] = TrainConfig(**{**vars(settings[1]), "lr": 1e10})
    network = in_doubles(make("lenet5_bn", dropout=0.0))
    trainer, results = fused([network] * 3, doubles, settings)
    assert not results[-1][1].finite
    for trial in (0, 2):
        assert_as_alone((trainer, results), trial, network, doubles, settings[trial])


class Numbers:
    """The same uniform numbers for fused trials, and for each of them alone."""

    def __init__(self, trials: int) -> None:
        self.trials, self.trial, self.calls = trials, 0, 0

    def all(self, shape: Sequence[int]) -> Tensor:
        self.calls += 1
        return torch.rand(tuple(shape), generator=torch.Generator().manual_seed(self.calls), dtype=torch.float64)

    def begin(self, trial: int) -> None:
        self.trial, self.calls = trial, 0

    def of_one(self, shape: Sequence[int]) -> Tensor:
        if len(shape) == 2:
            return self.all((self.trials, *shape))[self.trial]
        images, channels, *sides = shape
        return self.all((images, self.trials * channels, *sides)).chunk(self.trials, 1)[self.trial]


class Masked(nn.Module):
    """Dropout that takes its numbers from a test."""

    stacked_as = nn.Dropout

    def __init__(self, p: float, numbers: Numbers) -> None:
        super().__init__()
        self.p, self.numbers = p, numbers

    def forward(self, x: Tensor) -> Tensor:
        return x * (self.numbers.of_one(x.shape) >= self.p) / (1 - self.p) if self.training else x


def check_dropout(
    networks: Sequence[Make], numbers: Numbers, doubles: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = configs()
    trainer = FusedTrainer(networks, doubles, settings)
    monkeypatch.setattr(trainer.net, "draw", numbers.all)
    results = [trainer.step() for _ in range(2)]
    for trial, (network, config) in enumerate(zip(networks, settings, strict=True)):
        numbers.begin(trial)
        alone = SingleTrainer(network, doubles, config)
        for layer in alone.model.modules():
            if isinstance(layer, Dropout):
                layer.forward = partial(Masked.forward, layer)  # type: ignore[method-assign, arg-type]
                layer.numbers = numbers  # type: ignore[assignment]
        assert_equal([epoch[trial] for epoch in results], [alone.step()[0] for _ in range(2)])
        assert_same(trainer.weights(trial), alone.weights())


RATES = (0.5, 0.2, 0.35)


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in FUSIBLE if "compact" not in n]
)
def test_dropout_has_a_rate_for_each_trial(name: str, doubles: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    check_dropout([in_doubles(make(name, dropout=rate)) for rate in RATES], Numbers(3), doubles, monkeypatch)


def test_dropout_of_maps_has_one_too(doubles: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = Numbers(3)

    def network(rate: float) -> nn.Module:
        head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 10))
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ELU(), Masked(rate, numbers), *head).double()

    check_dropout([partial(network, rate) for rate in RATES], numbers, doubles, monkeypatch)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "each"])
@pytest.mark.parametrize("stay", [(2, 0), (2, 1)])
def test_trials_that_leave_change_nothing_for_those_that_stay(
    optimizer: str, stay: tuple[int, int], doubles: TrainingData
) -> None:
    settings = configs(optimizer=optimizer, schedule="cosine", epochs=4)
    network = in_doubles(make("lenet5_bn", dropout=0.0))
    trainer, _ = fused([network] * 3, doubles, settings)
    trainer.keep(stay)
    rest = [trainer.step() for _ in range(2)]
    assert len(rest[0]) == 2 and trainer.net.parameters["0.weight"].shape[0] == 2
    for place, trial in enumerate(stay):
        assert_as_alone((trainer, rest), place, network, doubles, settings[trial], epochs=4)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "adamw", "each"])
def test_a_trial_goes_on_from_its_checkpoint_among_others(
    optimizer: str, doubles: TrainingData, tmp_path: Path
) -> None:
    settings = configs(optimizer=optimizer, schedule="one-cycle", epochs=4)
    network = in_doubles(make("lenet5"))
    trainer, _ = fused([network] * 3, doubles, settings)
    for trial in range(3):
        checkpoint.save(tmp_path / f"{trial}.pt", trainer.save(trial))
    trainer.close()
    again = FusedTrainer([network] * 2, doubles, [settings[2], settings[1]])
    again.load(*(checkpoint.load(tmp_path / f"{trial}.pt") for trial in (2, 1)))
    rest = [again.step() for _ in range(2)]
    for place, trial in enumerate((2, 1)):
        assert_as_alone((again, rest), place, network, doubles, settings[trial], epochs=4)


def test_a_checkpoint_of_another_architecture_is_refused(data: TrainingData) -> None:
    trainer = FusedTrainer([make("mlp_small")] * 2, data, configs()[:2])
    other = FusedTrainer([make("mlp")] * 2, data, configs()[:2])
    with pytest.raises(RuntimeError, match="another architecture"):
        trainer.load(other.save(0), other.save(1))


def test_the_same_seeds_give_the_same_weights(data: TrainingData) -> None:
    settings = configs(augment="rotate-crop")
    networks = [make("lenet5", dropout=0.3)] * 3
    first, _ = fused(networks, data, settings)
    torch.rand(5)
    second, _ = fused(networks, data, settings)
    assert_same(first.weights(1), second.weights(1), most=0.0)
    assert (first.weights(0)["0.weight"] - first.weights(1)["0.weight"]).abs().max() > 0.01


def test_bf16_learns(data: TrainingData) -> None:
    settings = [TrainConfig(lr=3e-3, batch_size=32, precision="bf16", seed=seed) for seed in range(2)]
    _, results = fused([make("lenet5")] * 2, data, settings, epochs=12)
    assert all(last.train_loss < 0.7 * first.train_loss for first, last in zip(results[0], results[-1], strict=True))


def test_without_validation_images_there_is_no_validation_accuracy(data: TrainingData) -> None:
    _, results = fused([make("mlp_small")] * 2, data.joined(), configs()[:2], epochs=1)
    assert all(math.isnan(result.val_accuracy) and result.finite is False for result in results[0])


def test_trials_of_other_shapes_or_settings_are_refused(data: TrainingData) -> None:
    with pytest.raises(ValueError, match="cannot be stacked"):
        FusedTrainer([make("mlp"), make("mlp_small")], data, configs()[:2])
    with pytest.raises(
        ValueError,
        match="may differ in lr, weight_decay, optimizer, label_smoothing, ema, clip_norm, seed and dropout only",
    ):
        FusedTrainer([make("mlp")] * 2, data, [TrainConfig(batch_size=32), TrainConfig(batch_size=64)])
