"""From a trainer to a trained network: the best epoch, divergence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import nn

from trainers.config import EpochResult, FitResult
from trainers.fit import fit


class Script:
    """A trainer whose results are given; its weights are the epoch's number."""

    def __init__(self, *values: float) -> None:
        self.values, self.epoch, self.model = values, 0, nn.Identity()

    def step(self) -> list[EpochResult]:
        value = self.values[self.epoch]
        self.epoch += 1
        loss = 1.0 if math.isfinite(value) else math.nan
        return [
            EpochResult(
                epoch=self.epoch,
                train_loss=loss,
                train_accuracy=0.5,
                val_loss=1.0,
                val_accuracy=value if math.isfinite(value) else 0.1,
                train_s=2.0,
                eval_s=0.5,
                images=10,
            )
        ]

    def weights(self, trial: int = 0) -> dict[str, Any]:
        return {"epoch": self.epoch}

    def save(self, trial: int = 0) -> dict[str, Any]:
        return {}

    def load(self, *states: dict[str, Any]) -> str:
        return ""

    def keep(self, trials: Sequence[int]) -> None: ...

    def close(self) -> None: ...


def test_the_first_of_the_best_epochs_is_kept_with_its_weights() -> None:
    heard: list[int] = []
    fitted = fit(Script(0.3, 0.8, 0.8, 0.6), 4, lambda so_far: heard.append(len(so_far.curve)))
    assert fitted.best is not None and fitted.best.epoch == 2 and fitted.best_weights == {"epoch": 2}
    assert heard == [1, 2, 3, 4] and not fitted.diverged
    measured = fitted.measured()
    assert (measured["epochs"], measured["best_epoch"], measured["val_accuracy"]) == (4, 2, 0.8)
    assert (measured["train_s"], measured["eval_s"], measured["images_per_s"]) == (8.0, 2.0, 5.0)


def test_a_loss_that_is_not_finite_ends_it() -> None:
    fitted = fit(Script(0.3, math.nan, 0.9), 3)
    assert fitted.diverged and len(fitted.curve) == 2
    assert fitted.best is not None and fitted.best.epoch == 1
    nothing = fit(Script(math.nan), 3)
    assert nothing.best is None and nothing.measured()["val_accuracy"] is None
    assert not FitResult().diverged and FitResult().measured()["images_per_s"] is None
