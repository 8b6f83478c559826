"""Smoothed labels, clipped gradients, averaged weights: alone and together, against plain PyTorch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import build_model
from trainers import checkpoint
from trainers.config import TrainConfig
from trainers.data.dataset import load_dataset
from trainers.data.splits import TrainingData
from trainers.fused.trainer import FusedTrainer
from trainers.single import SingleTrainer

CONFIG = TrainConfig(optimizer="sgd", lr=0.05, batch_size=32)
FEATURES: dict[str, dict[str, Any]] = {
    "label_smoothing": {"label_smoothing": 0.2},
    "clip_norm": {"clip_norm": 0.3},
    "ema": {"ema": 0.98},
    "all": {"label_smoothing": 0.1, "clip_norm": 0.5, "ema": 0.95},
}
each_feature = pytest.mark.parametrize("feature", FEATURES)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return load_dataset("digits", Path("x"), train_size=300).training


def make() -> nn.Module:
    return build_model("lenet5_bn", (1, 28, 28), 10, dropout=0.0)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(value, other[name]) for name, value in one.items())


def trained_by_hand(data: TrainingData, config: TrainConfig, epochs: int) -> tuple[dict[str, Tensor], list[float]]:
    """Trains in a plain PyTorch loop, on the trainer's images in its order; returns the weights and the losses."""
    trainer = SingleTrainer(make, data, config)
    torch.manual_seed(0)
    model = make().to(memory_format=torch.channels_last)
    model.load_state_dict(trainer._newest_weights())
    optimizer = torch.optim.SGD(model.parameters(), lr=config.lr, momentum=config.momentum)
    averages = {name: value.clone() for name, value in model.state_dict().items()}
    losses, step = [], 0
    for _ in range(epochs):
        total, seen = 0.0, 0
        for batch in trainer._order():
            images, labels = data.train.at(batch), data.train.labels[batch]
            loss = F.cross_entropy(model(images), labels, label_smoothing=config.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            if config.clip_norm:
                nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimizer.step()
            step += 1
            newest = max(1 - config.ema, 10 / (9 + step)) if config.ema else 1.0
            for name, value in model.state_dict().items():
                own = averages[name]
                averages[name] = (1 - newest) * own + newest * value if value.is_floating_point() else value.clone()
            total, seen = total + loss.item() * len(labels), seen + len(labels)
        losses.append(total / seen)
    return averages, losses


@each_feature
def test_it_is_what_a_plain_loop_does(feature: str, data: TrainingData) -> None:
    config = replace(CONFIG, **FEATURES[feature])
    weights, losses = trained_by_hand(data, config, 2)  # with more, rounding grows
    trainer = SingleTrainer(make, data, config)
    assert [trainer.step()[0].train_loss for _ in range(2)] == pytest.approx(losses, abs=2e-4)
    for name, value in trainer.weights().items():
        torch.testing.assert_close(value, weights[name], rtol=1e-3, atol=1e-3)


@each_feature
def test_it_changes_the_training(feature: str, data: TrainingData) -> None:
    plain, changed = (SingleTrainer(make, data, each) for each in (CONFIG, replace(CONFIG, **FEATURES[feature])))
    assert plain.step() and changed.step() and not same(plain.weights(), changed.weights())


@each_feature
def test_compiled_kernels_give_the_same_numbers(
    feature: str, data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, **FEATURES[feature])
    compiled = SingleTrainer(make, data, config)
    monkeypatch.setattr("trainers.single.fuse_pooling", lambda model, threads: model)
    plain = SingleTrainer(make, data, config)
    for _ in range(2):
        (one,), (other,) = compiled.step(), plain.step()
        assert one.train_loss == pytest.approx(other.train_loss, abs=2e-4)
        assert one.val_loss == pytest.approx(other.val_loss, abs=2e-3)
    theirs = plain.weights()
    for name, value in compiled.weights().items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-3, atol=1e-3)


def test_the_average_is_evaluated_and_kept_and_the_newest_weights_are_trained_on(data: TrainingData) -> None:
    plain, averaged = SingleTrainer(make, data, CONFIG), SingleTrainer(make, data, replace(CONFIG, ema=0.98))
    for _ in range(3):
        (one,), (other,) = plain.step(), averaged.step()
        assert one.train_loss == other.train_loss and one.val_loss != other.val_loss
    assert same(plain.weights(), averaged._newest_weights()) and not same(plain.weights(), averaged.weights())
    alone = SingleTrainer(make, data, CONFIG)
    alone.model.load_state_dict(averaged.weights())
    assert alone._evaluate() == (other.val_loss, other.val_accuracy, None)


def test_labels_are_not_smoothed_in_the_evaluation(data: TrainingData) -> None:
    plain, smoothed = (SingleTrainer(make, data, replace(CONFIG, label_smoothing=value)) for value in (0.0, 0.3))
    smoothed.model.load_state_dict(plain.model.state_dict())
    assert plain._evaluate() == smoothed._evaluate()


def test_a_checkpoint_from_before_there_were_averages_is_read(data: TrainingData, tmp_path: Path) -> None:
    """The average begins with the weights of the checkpoint."""
    averaged = replace(CONFIG, ema=0.98)
    one, group = SingleTrainer(make, data, CONFIG), FusedTrainer([make] * 2, data, [CONFIG, replace(CONFIG, seed=1)])
    for trainer in (one, group):
        trainer.step()
        checkpoint.save(tmp_path / f"{type(trainer).__name__}.pt", trainer.save())
        assert "average" not in trainer.save()
    for other in (SingleTrainer(make, data, averaged), FusedTrainer([make], data, [averaged])):
        state = checkpoint.load(tmp_path / f"{type(other).__name__}.pt")
        assert other.load(state) == ""
        assert same(other.weights(), state["model" if "model" in state else "stacked"])
        assert other.step()[0].finite


def test_a_trial_without_an_average_goes_on_from_a_checkpoint_with_one(data: TrainingData) -> None:
    averaged, plain = SingleTrainer(make, data, replace(CONFIG, ema=0.98)), SingleTrainer(make, data, CONFIG)
    averaged.step()
    plain.load(averaged.save())
    assert same(plain.weights(), averaged._newest_weights())


@pytest.mark.parametrize("schedule", ["wsd", "linear"])
@pytest.mark.parametrize("augment", ["shift", "shift-flip"])
def test_it_goes_on_from_a_checkpoint(schedule: str, augment: str, data: TrainingData, tmp_path: Path) -> None:
    config = replace(CONFIG, schedule=schedule, augment=augment, epochs=4, **FEATURES["all"])
    whole, half, other = (SingleTrainer(make, data, config) for _ in range(3))
    results = [whole.step()[0] for _ in range(4)]
    for _ in range(2):
        half.step()
    checkpoint.save(tmp_path / "c.pt", half.save())
    assert other.load(checkpoint.load(tmp_path / "c.pt")) == ""
    rest = [other.step()[0] for _ in range(2)]
    assert [(r.train_loss, r.val_loss) for r in rest] == [(r.train_loss, r.val_loss) for r in results[2:]]
    assert same(whole.weights(), other.weights())
