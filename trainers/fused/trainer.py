"""The trainer for several models at once: lanes of one shape, stacked into one network.

A small network leaves an accelerator idle. K of them with the same layers keep it busy; each lane has its own weights,
learning rate, optimizer, dropout, weight decay, order of images and statistics, and comes out as if it had been
trained alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.config import OWN, EpochResult, TrainConfig
from trainers.data.augment import make_augmentation
from trainers.data.dataset import TrainingData
from trainers.fused.lanewise import LanewiseOptimizer
from trainers.fused.stacked import StackedNet
from trainers.generators import take_up
from trainers.graphs import Steps
from trainers.loop import EVAL_BATCH_CPU, autocast, use_whole_float32
from trainers.optimizer import has_capturable_optimizer
from trainers.single import SUMS, batches_of, seeded

EVAL_BATCH = 8000  # images at once, of all lanes together


class FusedTrainer:
    """Trains lane k, made by `make_models[k]`, on `data` as `configs[k]` says; an epoch of all lanes a `step`.

    A lane's initial weights and order of images are those that `SingleTrainer` gives its seed. Dropout and augmentation
    draw from the first lane's seed for all, so a lane that has them depends on its neighbours. Raises ValueError where
    the configurations differ in more than `OWN` and the seed, or where the networks cannot be stacked.
    """

    def __init__(
        self, make_models: Sequence[Callable[[], nn.Module]], data: TrainingData, configs: Sequence[TrainConfig]
    ) -> None:
        self.config = _shared(configs)
        device = self.config.device
        torch.set_num_threads(self.config.threads)
        self.data = data.to(device)
        self.noise = torch.Generator(device).manual_seed(self.config.seed)
        models = [_made(make, config) for make, config in zip(make_models, configs, strict=True)]
        use_whole_float32()  # so that what is timed below is timed in one precision, too
        self.net = StackedNet(models, lambda shape: torch.rand(shape, generator=self.noise, device=device))
        self.orders = [torch.Generator().manual_seed(config.seed) for config in configs]
        self.augment = make_augmentation(self.config.augment, torch.tensor(data.black, device=device), self.noise)
        self.optimizer = LanewiseOptimizer(list(self.net.parameters.values()), configs, self.steps_per_epoch)
        self.epoch = 0
        self._prepare()

    @property
    def model(self) -> nn.Module:
        """A lane's network, but for its weights."""
        return self.net.template

    @property
    def steps_per_epoch(self) -> int:
        return batches_of(len(self.data.train), self.config.batch_size)

    def step(self) -> list[EpochResult]:
        """Trains all lanes for one epoch and evaluates them; a result for each. Times are each one's share."""
        started, lanes = time.perf_counter(), self.net.lanes
        losses, accuracies, images = self._train()
        trained = time.perf_counter()
        val_losses, val_accuracies = self._evaluate()
        evaluated = time.perf_counter()
        self.epoch += 1
        return [
            EpochResult(
                epoch=self.epoch,
                train_loss=losses[lane],
                train_accuracy=accuracies[lane],
                val_loss=val_losses[lane],
                val_accuracy=val_accuracies[lane],
                train_s=(trained - started) / lanes,
                eval_s=(evaluated - trained) / lanes,
                images=images,
            )
            for lane in range(lanes)
        ]

    def keep(self, lanes: Sequence[int]) -> None:
        """Goes on with these lanes alone, in this order: the arrays shrink to them."""
        self.orders = [self.orders[lane] for lane in lanes]
        self.net.keep(lanes)
        self.optimizer.keep(lanes, list(self.net.parameters.values()))
        self._prepare()

    def weights(self, lane: int = 0) -> dict[str, Tensor]:
        """A copy of a lane's weights on the CPU, as its model's state_dict."""
        return self.net.state(lane)

    def save(self, lane: int = 0) -> dict[str, Any]:
        """What `load` needs to go on with this lane, among any others of the same epoch: tensors and plain values."""
        return {
            "epoch": self.epoch,
            "stacked": self.weights(lane),
            "optimizer": self.optimizer.state(lane),
            "order": self.orders[lane].get_state(),
            "noise": self.noise.get_state(),
        }

    def load(self, *states: dict[str, Any]) -> str:
        """Continues each lane from what `save` returned for it, on whatever device. Returns a warning where they do not
        go on as if nothing had happened, else an empty text; RuntimeError if one is of another architecture."""
        for lane, state in enumerate(states):
            self.net.load(lane, state["stacked"])
            self.orders[lane].set_state(state["order"])
        self.optimizer.load([state["optimizer"] for state in states])
        self.epoch = states[0]["epoch"]
        warning = take_up(self.noise, states[0]["noise"], self.config.seed, self.epoch)
        self._prepare()
        return warning

    def close(self) -> None:
        """Gives an accelerator's memory back, so that the next trials of this process find it free."""
        del self.net, self.optimizer, self.augment, self.steps
        if self.config.device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _prepare(self) -> None:
        """For lanes that have just been made, loaded or left: another array, and another graph."""
        device = self.config.device
        self.sums = torch.zeros(2, self.net.lanes, dtype=SUMS.get(device, torch.float64), device=device)
        self.steps = Steps(self._train_on, self._changed, self.noise, has_capturable_optimizer(self.config))

    def _train(self) -> tuple[list[float], list[float], int]:
        """Each lane's mean loss and accuracy over an epoch, and how many images it saw."""
        images = len(self.data.train)
        order = torch.stack([torch.randperm(images, generator=order) for order in self.orders])
        batches = torch.split(order.to(self.config.device), self.config.batch_size, 1)[: self.steps_per_epoch]
        self.sums.zero_()
        self.steps.run(batches, lambda _: self.optimizer.advance())
        images = sum(batch.shape[1] for batch in batches)
        losses, accuracies = (self.sums / images).tolist()
        return losses, accuracies, images

    def _train_on(self, batch: Tensor) -> None:
        """batch: (K, N) places of images."""
        self.optimizer.clear()
        images, labels = self.data.train.images.index_select(0, batch.t().flatten()), self.data.train.labels[batch]
        if self.augment:
            images = self.augment(images)
        with autocast(images, self.config.precision):
            logits = self.net(images.view(batch.shape[1], -1, *images.shape[2:]), training=True).float()
        losses = _losses(logits, labels)
        losses.mean(1).sum().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self._add(losses.detach(), logits, labels)

    @torch.no_grad()
    def _evaluate(self) -> tuple[list[float], list[float]]:
        data, lanes = self.data.validation, self.net.lanes
        if not len(data):
            return [math.nan] * lanes, [math.nan] * lanes
        most = max(1, (EVAL_BATCH_CPU if self.config.device == "cpu" else EVAL_BATCH) // lanes)
        self.sums.zero_()
        for images, labels in zip(torch.split(data.images, most), torch.split(data.labels, most), strict=True):
            with autocast(images, self.config.precision):
                logits = self.net(images.repeat(1, lanes, 1, 1), training=False).float()
            same = labels.expand(lanes, -1)
            self._add(_losses(logits, same), logits, same)
        losses, accuracies = (self.sums / len(data)).tolist()
        return losses, accuracies

    def _add(self, losses: Tensor, logits: Tensor, labels: Tensor) -> None:
        """To the sums: on the device, so that nothing waits for it."""
        self.sums += torch.stack([losses.sum(1), (logits.argmax(2) == labels).sum(1)])

    def _changed(self) -> dict[str, Tensor]:
        return {
            "sums": self.sums,
            **self.net.parameters,
            **self.net.buffers,
            **self.optimizer.changed(),
        }


def _shared(configs: Sequence[TrainConfig]) -> TrainConfig:
    """What all lanes have in common: the first one's; ValueError where they differ in what they must share."""
    first = configs[0]
    for config in configs:
        own = {name: getattr(config, name) for name in (*OWN, "seed")}
        if config != replace(first, **own):
            raise ValueError(f"lanes differ in more than {', '.join(OWN)}, seed and dropout: {first} and {config}")
    return first


def _made(make: Callable[[], nn.Module], config: TrainConfig) -> nn.Module:
    with seeded(config.seed, config.device):
        return make().to(config.device)


def _losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropies (K, N) of logits (K, N, classes)."""
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)
