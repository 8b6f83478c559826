from __future__ import annotations

import math

import pytest

from hpo.views.bars.epoch_bar import EpochBar
from trainers.config import EpochResult, FitResult


def result(epochs: int) -> FitResult:
    curve = [
        EpochResult(
            epoch=number, train_loss=math.inf if number == 2 else 0.5, train_accuracy=0.25, val_loss=0.75,
            val_accuracy=0.125 * number, train_s=1.0, eval_s=0.5, images=9,
        )
        for number in range(1, epochs + 1)
    ]  # fmt: skip
    return FitResult(curve=curve, best=curve[-1])


def test_a_line_per_epoch_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with EpochBar(2, quiet=False) as bar:
        bar.within(0.5)
        bar.reported(result(1))
        bar.reported(result(2))
    assert capsys.readouterr().out.splitlines() == [
        "epoch 1/2: train 0.5000 0.2500, validation 0.7500 0.1250, 1.5 s",
        "epoch 2/2: train inf 0.2500, validation 0.7500 0.2500, 1.5 s",
    ]


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with EpochBar(1, quiet=True) as bar:
        bar.within(0.5)
        bar.reported(result(1))
    assert capsys.readouterr().out == ""
