"""From a trainer to a trained model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from trainers.config import EpochResult, FitResult


class Trainer(Protocol):
    """What every trainer can do. `step` trains an epoch and returns its result, one for each lane; there is one, 0,
    unless it was made for several. `load` takes what `save` returned, one for each lane too; its warning is empty
    where it goes on as if nothing had happened."""

    def step(self) -> list[EpochResult]: ...

    def weights(self, lane: int = 0) -> dict[str, Any]: ...

    def save(self, lane: int = 0) -> dict[str, Any]: ...

    def load(self, *states: dict[str, Any]) -> str: ...

    def close(self) -> None: ...


def fit(trainer: Trainer, epochs: int, report: Callable[[FitResult], object] = lambda _: None) -> FitResult:
    """Trains for `epochs` epochs, fewer where the loss stops being finite; `report` hears of each."""
    fitted = FitResult()
    while len(fitted.curve) < epochs and not fitted.diverged:
        (result,) = trainer.step()
        fitted.add(result, trainer.weights)
        report(fitted)
    return fitted
