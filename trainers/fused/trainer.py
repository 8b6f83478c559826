"""The trainer of fused trials: networks of one shape, stacked into one.

A small network leaves an accelerator idle. K of them with the same layers keep it busy (HFTA: Wang et al., MLSys 2021).
Each trial has its own weights, learning rate, optimizer, dropout, weight decay, label smoothing, gradient clipping,
weight average, batch order and statistics, and comes out as if it had been trained alone. On a CPU fusing is slower
than training one trial after the other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from trainers.augment.mixing import make_mixing
from trainers.augment.policies import make_augmentation
from trainers.config import PER_TRIAL_SETTINGS, EpochResult, TrainConfig
from trainers.criteria.losses import Loss, Target, labels_of
from trainers.criteria.metrics import Metric, judged, make_score
from trainers.data.sampling import ImageOrder
from trainers.data.splits import TrainingData
from trainers.fused.stacked import StackedNet
from trainers.fused.stacked_optimizer import StackedOptimizer
from trainers.generators import restore_generator, seeded
from trainers.gpu.graphs import StepRunner, is_capturable
from trainers.loop import autocast, batches_per_epoch, eval_batch_size, sum_dtype, use_ieee_float32
from trainers.optim.average import WeightAverage

PLAIN = Loss(TrainConfig(), torch.zeros(0, dtype=torch.int64))  # the cross-entropy, which every trial is judged by


class FusedTrainer:
    """Trains trial k, whose network `make_models[k]` returns, as `configs[k]` says (a `Trainer`, see trainers/fit.py).

    A trial's initial weights and batch order are those that `SingleTrainer` gives its seed. Dropout and augmentation
    draw from the first trial's seed for all, so a trial that has them depends on its neighbours. Raises ValueError
    where the configurations differ in more than `PER_TRIAL_SETTINGS` and the seed, where the loss is the user's own, or
    the networks cannot be stacked. own_metric: the user's, where the configurations name it.
    """

    def __init__(
        self,
        make_models: Sequence[Callable[[], nn.Module]],
        data: TrainingData,
        configs: Sequence[TrainConfig],
        own_metric: Metric | None = None,
    ) -> None:
        self.config, self.configs = _shared(configs), list(configs)
        device = self.config.device
        torch.set_num_threads(self.config.threads)
        self.data = data.to(device)
        self.noise = torch.Generator(device).manual_seed(self.config.seed)
        models = [_made(make, config) for make, config in zip(make_models, configs, strict=True)]
        use_ieee_float32()  # before the forms of a convolution are timed
        self.net = StackedNet(models, lambda shape: torch.rand(shape, generator=self.noise, device=device))
        self.loss, self.score = Loss(self.config, self.data.train.labels), make_score(self.config.metric, own_metric)
        self.images = ImageOrder(self.data.train.labels, self.config.sampler_weights)
        self.orders = [torch.Generator().manual_seed(config.seed) for config in configs]
        self.augment = make_augmentation(self.config.augment, data.scaling, self.noise, self.config.augment_strength)
        self.mix = make_mixing(self.config.augment, self.noise, self.config.augment_strength)
        self.optimizer = StackedOptimizer(list(self.net.parameters.values()), configs, self.steps_per_epoch)
        decays = [config.ema for config in configs]
        self.average = WeightAverage(self._averaged_values(), decays) if any(decays) else None
        self.epoch = 0
        self._prepare()

    @property
    def model(self) -> nn.Module:
        """The first trial's network: its layers and shapes, with initial weights."""
        return self.net.template

    @property
    def steps_per_epoch(self) -> int:
        """The number of optimizer steps in an epoch."""
        return batches_per_epoch(len(self.data.train), self.config.batch_size)

    def step(self) -> list[EpochResult]:
        """Trains all trials for one epoch and evaluates them; returns a result for each, with its share of the time."""
        started, trials = time.perf_counter(), self.net.trials
        losses, accuracies, images = self._train()
        trained = time.perf_counter()
        with self._averaged():
            val_losses, val_accuracies, val_scores = self._evaluate()
        evaluated = time.perf_counter()
        self.epoch += 1
        return [
            EpochResult(
                epoch=self.epoch,
                train_loss=losses[trial],
                train_accuracy=accuracies[trial],
                val_loss=val_losses[trial],
                val_accuracy=val_accuracies[trial],
                val_score=val_scores[trial],
                train_s=(trained - started) / trials,
                eval_s=(evaluated - trained) / trials,
                images=images,
            )
            for trial in range(trials)
        ]

    def keep(self, trials: Sequence[int]) -> None:
        """Goes on with these trials only, in this order: the stacked tensors shrink to them."""
        self.orders = [self.orders[trial] for trial in trials]
        self.configs = [self.configs[trial] for trial in trials]
        self.net.keep(trials)
        if self.average:
            self.average.keep(trials, self._averaged_values())
        self.optimizer.keep(trials, list(self.net.parameters.values()))
        self._prepare()

    def weights(self, trial: int = 0) -> dict[str, Tensor]:
        """Returns a copy of the trial's weights on the CPU, as its network's state_dict: averaged, if it has that."""
        return {**self.net.state(trial), **(self.average.state(trial) if self.average else {})}

    def save(self, trial: int = 0) -> dict[str, Any]:
        """Returns what `load` needs to go on with this trial, among any others of the same epoch."""
        return {
            "epoch": self.epoch,
            "stacked": self.net.state(trial),
            "optimizer": self.optimizer.state(trial),
            "order": self.orders[trial].get_state(),
            "noise": self.noise.get_state(),
            **({"average": self.average.save(trial)} if self.average and self.configs[trial].ema else {}),
        }

    def load(self, *states: dict[str, Any]) -> str:
        """Continues each trial from what `save` returned for it, on whatever device.

        Returns a warning where random numbers cannot continue, else "". Raises RuntimeError for another architecture.
        """
        for trial, state in enumerate(states):
            self.net.load(trial, state["stacked"])
            self.orders[trial].set_state(state["order"])
        self.optimizer.load([state["optimizer"] for state in states])
        if self.average:
            self.average.load_trials([state.get("average") for state in states])
        self.epoch = states[0]["epoch"]
        warning = restore_generator(self.noise, states[0]["noise"], self.config.seed, self.epoch)
        self._prepare()
        return warning

    def close(self) -> None:
        """Frees the accelerator's memory, so that the next trials of this process find it free."""
        del self.net, self.optimizer, self.average, self.augment, self.mix, self.steps
        if self.config.device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _prepare(self) -> None:
        """Makes the sums and the step runner anew, for trials that have just been made, loaded or kept."""
        device = self.config.device
        self.sums = torch.zeros(2, self.net.trials, dtype=sum_dtype(device), device=device)
        smoothing = [config.label_smoothing for config in self.configs]
        self.smoothing = torch.tensor(smoothing, device=device).view(-1, 1) if any(smoothing) else 0.0
        capture = is_capturable(self.net.template, self.config)
        self.steps = StepRunner(self._train_on, self._changed, self.noise, capture)

    def _train(self) -> tuple[list[float], list[float], int]:
        """Returns each trial's mean loss and accuracy over an epoch, and how many images it saw."""
        order = torch.stack([self.images.draw(order) for order in self.orders])
        batches = torch.split(order.to(self.config.device), self.config.batch_size, 1)[: self.steps_per_epoch]
        self.sums.zero_()
        self.steps.run(batches, lambda _: self.optimizer.advance())
        images = sum(batch.shape[1] for batch in batches)
        losses, accuracies = (self.sums / images).tolist()
        return losses, accuracies, images

    def _train_on(self, batch: Tensor) -> None:
        """Takes one optimizer step. batch: (K, N) indices of training images."""
        self.optimizer.clear()
        target: Target
        images, target = self.data.train.at(batch.t().flatten()), self.data.train.labels[batch]
        if self.augment:
            images = self.augment(images)
        if self.mix:
            images, target = self.mix(images, target)
        with autocast(images, self.config.precision):
            logits = self.net(images.view(batch.shape[1], -1, *images.shape[2:]), training=True).float()
        losses = self.loss.of_each(logits, target, self.smoothing)
        losses.mean(1).sum().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if self.average:
            self.average.update()
        self._add(losses.detach(), logits, labels_of(target))

    @torch.no_grad()
    def _evaluate(self) -> tuple[list[float], list[float], list[float | None]]:
        """Returns each trial's cross-entropy, accuracy and score on the validation split."""
        data, trials = self.data.validation, self.net.trials
        if not len(data):
            return [math.nan] * trials, [math.nan] * trials, [math.nan if self.score else None] * trials
        if self.score is not None:
            logits = torch.cat([part.cpu() for part, _ in self._answers()], 1)
            of_trials = [judged(part, data.labels, self.score) for part in logits]
            return tuple(list(values) for values in zip(*of_trials, strict=True))  # type: ignore[return-value]
        self.sums.zero_()
        for logits, labels in self._answers():
            self._add(PLAIN.of_each(logits, labels), logits, labels)
        losses, accuracies = (self.sums / len(data)).tolist()
        return losses, accuracies, [None] * trials

    def _answers(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields (logits (K, n, classes), labels (K, n)) of large validation batches, in order."""
        trials = self.net.trials
        data = self.data.validation
        for images, labels in data.batches(max(1, eval_batch_size(data) // trials)):
            with autocast(images, self.config.precision):
                logits = self.net(images.repeat(1, trials, 1, 1), training=False).float()
            yield logits, labels.expand(trials, -1)

    def _add(self, losses: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Adds losses and hits to the sums, on the device: nothing waits for it."""
        self.sums += torch.stack([losses.sum(1), (logits.argmax(2) == labels).sum(1)])

    def _changed(self) -> dict[str, Tensor]:
        """Returns every tensor that a step changes, by name."""
        return {
            "sums": self.sums,
            **self.net.parameters,
            **self.net.buffers,
            **self.optimizer.changed(),
            **(self.average.changed() if self.average else {}),
        }

    def _averaged(self) -> AbstractContextManager[None]:
        """Gives the trials their averaged weights within the context, if any trial has them."""
        return self.average.applied() if self.average else nullcontext()

    def _averaged_values(self) -> dict[str, Tensor]:
        """Returns what is averaged; see `averaged_values`."""
        stacked = {**self.net.parameters, **self.net.buffers}
        return {name: value for name, value in stacked.items() if value.is_floating_point()}


def _shared(configs: Sequence[TrainConfig]) -> TrainConfig:
    """Returns the first trial's configuration; raises ValueError where others differ in what all must share."""
    first = configs[0]
    for config in configs:
        own = {name: getattr(config, name) for name in (*PER_TRIAL_SETTINGS, "seed")}
        if config != replace(first, **own):
            allowed = f"{', '.join(PER_TRIAL_SETTINGS)}, seed and dropout"
            raise ValueError(f"fused trials may differ in {allowed} only: {first} and {config}")
    return first


def _made(make: Callable[[], nn.Module], config: TrainConfig) -> nn.Module:
    with seeded(config.seed, config.device):
        return make().to(config.device)
