"""The trainer contract, and the loop that turns a trainer into a trained network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from trainers.config import EpochResult, FitResult

if TYPE_CHECKING:
    from torch import nn

    from trainers.ddp import DistributedTrainer
    from trainers.fused.trainer import FusedTrainer
    from trainers.own_trainer import OwnTrainer
    from trainers.single import SingleTrainer


class Trainer(Protocol):
    """Trains one network, or a group of fused trials as one network. Callers use nothing beyond these members.

    A trainer is made from (make_model, data, config) and is ready when its constructor returns. `trial` is a trial's
    index in the group, 0 where there is only one.
    """

    @property
    def epoch(self) -> int:
        """The number of epochs trained so far, those before a checkpoint included."""
        ...

    @property
    def model(self) -> nn.Module:
        """The network; of fused trials, the layers of one trial, whose weights may be out of date."""
        ...

    def step(self) -> list[EpochResult]:
        """Trains one epoch and evaluates it on the validation split; returns one result per trial.

        Raises what the network raises, and RuntimeError where a device or another process is lost.
        """
        ...

    def weights(self, trial: int = 0) -> dict[str, Any]:
        """Returns a copy of the trial's weights on the CPU, in the form of its network's state_dict."""
        ...

    def save(self, trial: int = 0) -> dict[str, Any]:
        """Returns all that `load` needs to continue the trial: tensors and plain values."""
        ...

    def load(self, *states: dict[str, Any]) -> str:
        """Continues from what `save` returned, one state per trial, on whatever device.

        Returns a warning where the training cannot continue exactly as before, else "". Raises RuntimeError for a state
        of another architecture, and any error that a damaged state causes.
        """
        ...

    def keep(self, trials: Sequence[int]) -> None:
        """Goes on with these trials only, in this order; `trial` counts them from 0 afterwards.

        Raises ValueError where a trainer of one trial is asked for anything but that one.
        """
        ...

    def close(self) -> None:
        """Frees the device's memory and ends the connections. No other member may be used afterwards."""
        ...


def fit(
    trainer: Trainer,
    epochs: int,
    report: Callable[[FitResult], object] = lambda _: None,
    so_far: FitResult | None = None,
) -> FitResult:
    """Trains one trial until it has `epochs` epochs, or its loss is not finite; calls `report` after each epoch.

    so_far: the result of the epochs that `trainer` has behind it, where it goes on from a saved state.
    """
    fitted = so_far or FitResult()
    while len(fitted.curve) < epochs and not fitted.diverged:
        (result,) = trainer.step()
        fitted.add(result, trainer.weights)
        report(fitted)
    return fitted


if TYPE_CHECKING:

    def _satisfy_the_contract(
        *trainers: SingleTrainer | DistributedTrainer | FusedTrainer | OwnTrainer,
    ) -> Sequence[Trainer]:
        """Lets mypy prove that every trainer has all members of the contract."""
        return trainers
