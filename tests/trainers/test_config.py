from __future__ import annotations

import math
from dataclasses import replace

import pytest

from trainers.config import EpochResult, FitResult, split_config

RESULT = EpochResult(
    epoch=1,
    train_loss=0.5,
    train_accuracy=0.8,
    val_loss=0.6,
    val_accuracy=0.7,
    train_s=2.0,
    eval_s=0.5,
    images=100,
)


def test_a_configuration_is_split_between_training_and_architecture() -> None:
    config = {"lr": 0.1, "dropout": 0.2, "schedule": "step", "activation": "relu", "width_1": 4}
    assert split_config(config) == (
        {"lr": 0.1, "schedule": "step"},
        {"dropout": 0.2, "activation": "relu", "width_1": 4},
    )


@pytest.mark.parametrize("loss", ["train_loss", "val_loss"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_epoch_is_finite_where_both_losses_are(loss: str, value: float) -> None:
    assert RESULT.finite and not replace(RESULT, **{loss: value}).finite


def test_weights_are_copied_for_a_better_epoch_only() -> None:
    fitted, copied = FitResult(), []
    for epoch, accuracy in enumerate((0.3, 0.2, 0.3, 0.9), start=1):
        result = replace(RESULT, epoch=epoch, val_accuracy=accuracy)
        fitted.add(result, lambda epoch=epoch: copied.append(epoch) or {"epoch": epoch})  # type: ignore[misc]
    assert copied == [1, 4] and fitted.best_weights == {"epoch": 4}


def test_an_epoch_that_is_not_finite_is_never_the_best() -> None:
    fitted = FitResult()
    fitted.add(replace(RESULT, val_accuracy=0.9, val_loss=math.nan), dict)
    assert fitted.best is None and fitted.diverged
    assert fitted.measured() == {
        **dict.fromkeys(("best_epoch", "val_accuracy", "val_score", "val_loss", "train_accuracy", "train_loss")),
        "epochs": 1,
        "train_s": 2.0,
        "eval_s": 0.5,
        "images_per_s": 50.0,
    }
