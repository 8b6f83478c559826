"""A training loop of the user's own, behind the trainer contract."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from trainers.config import EpochResult, TrainConfig
from trainers.criteria.metrics import make_score
from trainers.criteria.own import NONE, OwnFunctions
from trainers.data.splits import TrainingData
from trainers.generators import epoch_seed, seeded
from trainers.loop import use_ieee_float32, validated

MEMBERS = ("train_epoch", "save", "load")


class TrainingLoop(Protocol):
    """What the user writes: a class that is made from (make_model, data, config), and keyword hyperparameters.

    make_model: makes the network that is evaluated, kept and ranked. data: its `train` split has the images. config:
    the hyperparameters and the epochs, see `TrainConfig`. torch's generators follow the seed.
    """

    model: nn.Module
    """The network, made by make_model, on `config.device`."""

    def train_epoch(self) -> tuple[float, float]:
        """Trains one epoch; returns the mean loss and the accuracy on the training images."""
        ...

    def save(self) -> dict[str, Any]:
        """Returns all that `load` needs to go on: tensors and plain values."""
        ...

    def load(self, state: dict[str, Any]) -> None:
        """Goes on from what `save` returned."""
        ...


class OwnTrainer:
    """Trains by the user's own loop (a `Trainer`, see trainers/fit.py); evaluation and epochs are Podium's.

    kind: the user's class. hyperparameters: its own. Raises ValueError for a loop whose network is not one that
    `make_model` makes, because its weights could not be used.
    """

    def __init__(
        self,
        kind: Callable[..., TrainingLoop],
        make_model: Callable[[], nn.Module],
        data: TrainingData,
        config: TrainConfig,
        hyperparameters: Mapping[str, Any] | None = None,
        own: OwnFunctions = NONE,
    ) -> None:
        torch.set_num_threads(config.threads)
        self.config, self.data, self.epoch = config, data.to(config.device), 0
        self.score = make_score(config.metric, own.metric)
        with seeded(config.seed, config.device):
            self.loop = kind(make_model, self.data, config, **(hyperparameters or {}))
            shapes = _shapes(make_model())
        use_ieee_float32()
        if _shapes(self.loop.model) != shapes:
            raise ValueError("the model of --trainer is not a network that make_model makes")

    @property
    def model(self) -> nn.Module:
        """The network."""
        return self.loop.model

    def step(self) -> list[EpochResult]:
        """Trains one epoch by the loop, and evaluates its network on the validation split."""
        started, config = time.perf_counter(), self.config
        with seeded(epoch_seed(config.seed, self.epoch), config.device):
            loss, accuracy = self.loop.train_epoch()
        trained = time.perf_counter()
        validation = self.data.validation
        val_loss, val_accuracy, val_score = validated(self.model, validation, config.precision, self.score)
        self.epoch += 1
        result = EpochResult(
            epoch=self.epoch,
            train_loss=float(loss),
            train_accuracy=float(accuracy),
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            val_score=val_score,
            train_s=trained - started,
            eval_s=time.perf_counter() - trained,
            images=len(self.data.train),
        )
        return [result]

    def weights(self, trial: int = 0) -> dict[str, Tensor]:
        """Returns a copy of the network's state_dict on the CPU."""
        return {name: value.detach().to("cpu", copy=True) for name, value in self.model.state_dict().items()}

    def save(self, trial: int = 0) -> dict[str, Any]:
        """Returns what the loop saves, and the epoch."""
        return {"epoch": self.epoch, "loop": self.loop.save()}

    def load(self, *states: dict[str, Any]) -> str:
        """Continues from one state that `save` returned. Raises what the loop raises."""
        (state,) = states
        self.loop.load(state["loop"])
        self.epoch = state["epoch"]
        return ""

    def keep(self, trials: Sequence[int]) -> None:
        """Does nothing for [0], its only trial; raises ValueError for anything else."""
        if list(trials) != [0]:
            raise ValueError(f"trials {list(trials)}: this trainer has one trial, 0")

    def close(self) -> None:
        """Frees the accelerator's memory."""
        del self.loop
        if self.config.device.startswith("cuda"):
            torch.cuda.empty_cache()


def _shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in model.state_dict().items()}
