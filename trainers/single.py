"""The trainer of one network on one device."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from trainers.augment.mixing import make_mixing
from trainers.augment.policies import make_augmentation
from trainers.config import EpochResult, TrainConfig
from trainers.cpu.normalizing import normalized
from trainers.cpu.pooling import fuse_pooling
from trainers.criteria.losses import Loss, Target, labels_of
from trainers.criteria.metrics import make_score
from trainers.criteria.own import NONE, OwnFunctions
from trainers.data.sampling import ImageOrder
from trainers.data.splits import TrainingData
from trainers.data.streaming import StreamReader
from trainers.generators import epoch_seed, give_generator, restore_generator, seeded
from trainers.gpu.graphs import StepRunner, is_capturable
from trainers.loop import autocast, batches_per_epoch, sum_dtype, train_epoch, use_ieee_float32, validated
from trainers.optim.average import WeightAverage, averaged_values
from trainers.optim.optimizer import load_optimizer, make_optimizer
from trainers.optim.schedule import make_schedule

WARM_UP_PIXELS = 2**19  # of the warm-up's batch: its layers keep 32 bytes for each, several times


class SingleTrainer:
    """Trains the network that `make_model` returns on `data`, as `config` says (a `Trainer`, see trainers/fit.py).

    Initial weights, batch order, dropout and augmentation come from `config.seed` alone, through generators of the
    trainer's own: the same seed on the same number of CPU threads gives the same weights, whatever the process did
    before.

    own: the user's loss and metric, where the configuration names them. watch: is called at each batch with the
    fraction of the epoch that is done. Raises ValueError for an unknown optimizer, schedule, augmentation, loss or
    metric.
    """

    def __init__(
        self,
        make_model: Callable[[], nn.Module],
        data: TrainingData,
        config: TrainConfig,
        watch: Callable[[float], object] = lambda _: None,
        own: OwnFunctions = NONE,
    ) -> None:
        torch.set_num_threads(config.threads)
        self.config, self.watch = config, watch
        self.data = data.to(config.device)
        with seeded(config.seed, config.device):
            # channels_last, with pooling before the activation, took a training epoch of cnn (60,000 images, one CPU
            # thread) from 25-35 to 15-17 s in float32, and to 8.5-11 s in bf16.
            model = make_model().to(memory_format=torch.channels_last).to(config.device)
        use_ieee_float32()  # after the user's own module has been imported
        self.model = fuse_pooling(model, config.threads) if config.device == "cpu" else model
        self.loss = Loss(config, self.data.train.labels, own.loss)
        self.score = make_score(config.metric, own.metric)
        self.images = ImageOrder(self.data.train.labels, config.sampler_weights)
        self.order = torch.Generator().manual_seed(config.seed)
        self.noise = torch.Generator(config.device).manual_seed(self.noise_seed)
        give_generator(self.noise, self.model)
        shape, stream = self.data.train.images.shape[1:], self.data.stream
        self.stream = StreamReader(stream, shape, config.threads) if stream else None
        self.augment = make_augmentation(config.augment, data.scaling, self.noise, config.augment_strength)
        self.mix = make_mixing(config.augment, self.noise, config.augment_strength)
        self.optimizer = make_optimizer(self.model.parameters(), config)
        self.schedule = make_schedule(self.optimizer, config, self.steps_per_epoch)
        self.average = WeightAverage(averaged_values(self.model), config.ema) if config.ema else None
        self.epoch = 0
        self._prepare()

    @property
    def noise_seed(self) -> int:
        """The seed of dropout and augmentation."""
        return self.config.seed

    @property
    def steps_per_epoch(self) -> int:
        """The number of optimizer steps in an epoch."""
        return batches_per_epoch(len(self.data.train), self.config.batch_size)

    def step(self) -> list[EpochResult]:
        """Trains one epoch and evaluates it on the validation split; val_* are NaN where that split is empty."""
        started = time.perf_counter()
        indices = self._order()
        # What draws from torch's global generators, as nn.Dropout in a user's network does, follows the seed too.
        with seeded(epoch_seed(self.config.seed, self.epoch), self.config.device):
            loss, accuracy = self._train(indices)
        trained = time.perf_counter()
        with self._averaged():
            val_loss, val_accuracy, val_score = self._evaluate()
        self.epoch += 1
        result = EpochResult(
            epoch=self.epoch,
            train_loss=loss,
            train_accuracy=accuracy,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            val_score=val_score,
            train_s=trained - started,
            eval_s=time.perf_counter() - trained,
            images=sum(len(batch) for batch in indices),
        )
        return [result]

    def weights(self, trial: int = 0) -> dict[str, Tensor]:
        """Returns a copy of the network's state_dict on the CPU: of its averaged weights, where they are averaged."""
        with self._averaged():
            return self._newest_weights()

    def _newest_weights(self) -> dict[str, Tensor]:
        return {name: value.detach().to("cpu", copy=True) for name, value in self.model.state_dict().items()}

    def save(self, trial: int = 0) -> dict[str, Any]:
        """Returns all that `load` needs to go on as if nothing had happened: tensors and plain values."""
        return {
            "epoch": self.epoch,
            "model": self._newest_weights(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else None,
            "order": self.order.get_state(),
            "noise": self.noise.get_state(),
            **({"average": self.average.save()} if self.average else {}),
        }

    def load(self, *states: dict[str, Any]) -> str:
        """Continues from one state that `save` returned, on whatever device.

        Returns a warning where random numbers cannot continue, else "". Raises RuntimeError for another architecture.
        """
        (state,) = states
        self.model.load_state_dict(state["model"])
        load_optimizer(self.optimizer, state["optimizer"])
        if self.schedule:
            self.schedule.load_state_dict(state["schedule"])
        if self.average:
            self.average.load(state.get("average"))
        self.order.set_state(state["order"])
        self.epoch = state["epoch"]
        warning = restore_generator(self.noise, state["noise"], self.noise_seed, self.epoch)
        self._prepare()
        return warning

    def keep(self, trials: Sequence[int]) -> None:
        """Does nothing for [0], its only trial; raises ValueError for anything else."""
        if list(trials) != [0]:
            raise ValueError(f"trials {list(trials)}: this trainer has one trial, 0")

    def close(self) -> None:
        """Frees the accelerator's memory, so that the next trial of this process finds it free."""
        del self.model, self.optimizer, self.schedule, self.average, self.augment, self.mix, self.steps
        if self.config.device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _prepare(self) -> None:
        """Makes the sums and the step runner anew, for weights that have just been made or loaded."""
        device = self.config.device
        self.sums = torch.zeros(2, dtype=sum_dtype(device), device=device)
        capture = is_capturable(self.model, self.config) and not self.loss.is_own  # which may decide on the host
        self.steps = StepRunner(self._train_on, self._changed, self.noise, capture)

    def _train(self, indices: tuple[Tensor, ...]) -> tuple[float, float]:
        """Trains on these batches; returns the mean loss and accuracy."""
        if self.config.device.startswith("cuda") and not self.stream:
            return self._train_resident(indices)
        return self._train_batches(self.model, indices)

    def _train_batches(
        self, model: nn.Module, indices: tuple[Tensor, ...], counts: Callable[[], bool] = lambda: True
    ) -> tuple[float, float]:
        """Trains `model`, this network or what wraps it, on these batches; see `train_epoch`."""
        batches, config = self._batches(indices), self.config
        return train_epoch(model, batches, config.precision, self._end_step, self.loss, counts)

    def _end_step(self) -> None:
        self._update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.schedule:
            self.schedule.step()

    def _train_resident(self, indices: tuple[Tensor, ...]) -> tuple[float, float]:
        """Does the same on an accelerator, which the host does not wait for before the epoch's end."""
        self.model.train()
        self.sums.zero_()
        self.steps.run(indices, lambda done: self._after((done + 1) / len(indices)))
        loss, accuracy = (self.sums / sum(len(batch) for batch in indices)).tolist()
        return loss, accuracy

    def _train_on(self, batch: Tensor) -> None:
        """Takes one optimizer step. batch: (N,) indices of training images."""
        self.optimizer.zero_grad(set_to_none=True)
        images, target = self._augmented(self.data.train.at(batch), batch)
        with autocast(images, self.config.precision):
            logits = self.model(images).float()
        loss, labels = self.loss(logits, target), labels_of(target)
        loss.backward()  # type: ignore[no-untyped-call]
        self._update()
        self.sums += torch.stack([loss.detach() * len(labels), (logits.argmax(1) == labels).sum()])

    def _update(self) -> None:
        """Moves the weights along their gradients, and their average after them."""
        if self.config.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        if self.average:
            self.average.update()

    def _after(self, done: float) -> None:
        """Ends a step. done: fraction of the epoch."""
        if self.schedule:
            self.schedule.step()
        self.watch(done)

    def _changed(self) -> dict[str, Tensor]:
        """Returns every tensor that a step changes, by name."""
        states = enumerate(self.optimizer.state.values())
        kept = {f"{n}.{key}": value for n, state in states for key, value in state.items() if value is not None}
        average = self.average.changed() if self.average else {}
        own = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
        return {"sums": self.sums, **own, **kept, **average}

    def _averaged(self) -> AbstractContextManager[None]:
        """Gives the network its averaged weights within the context, if there are any."""
        return self.average.applied() if self.average else nullcontext()

    def _evaluate(self) -> tuple[float, float, float | None]:
        """Returns the cross-entropy, the accuracy and the score on the validation split."""
        return validated(self.model, self.data.validation, self.config.precision, self.score)

    def _order(self) -> tuple[Tensor, ...]:
        """Draws the epoch's batches: (N,) indices of training images each."""
        order = self.images.draw(self.order).to(self.config.device)
        return torch.split(order, self.config.batch_size)[: self.steps_per_epoch]

    def _batches(self, indices: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, Target]]:
        for done, (batch, images) in enumerate(zip(indices, self._images(indices), strict=True)):
            self.watch(done / len(indices))
            yield self._augmented(images, batch)

    def _images(self, indices: tuple[Tensor, ...]) -> Iterator[Tensor]:
        """Yields the normalized images of each batch."""
        if not self.stream:
            yield from map(self.data.train.at, indices)
            return
        device = torch.device(self.config.device)
        levels = self.data.scaling.of_bytes(device)
        for images in self.stream.batches(indices, epoch_seed(self.noise_seed, self.epoch)):
            yield normalized(images.to(device), torch.arange(len(images), device=device), *levels)

    def _augmented(self, images: Tensor, batch: Tensor) -> tuple[Tensor, Target]:
        """Returns the images, augmented, and their labels. batch: (N,) their indices."""
        labels = self.data.train.labels.index_select(0, batch)
        if self.augment:
            images = self.augment(images)
        return self.mix(images, labels) if self.mix else (images, labels)


def warm_up(data: TrainingData, config: TrainConfig) -> None:
    """Trains a tiny network for one step, before a trial's clock starts.

    This does what a process does only once: it loads kernels, starts threads and wakes the accelerator.
    """
    channels, height, width = data.train.images.shape[1:]
    count = max(2, min(64, WARM_UP_PIXELS // (height * width)))
    few = TrainingData(data.train.first(count), data.validation.first(count))
    classes = int(data.train.labels.max()) + 1
    trainer = SingleTrainer(
        lambda: nn.Sequential(
            nn.Conv2d(channels, 8, 1), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, classes)
        ),
        few,
        replace(config, metric="accuracy"),
    )
    trainer.step()
    trainer.close()
