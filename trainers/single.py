"""The trainer for one model on one device."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.config import EpochResult, TrainConfig
from trainers.cpu.pooling import fuse_pooling
from trainers.data.augment import make_augmentation
from trainers.data.dataset import Split, TrainingData
from trainers.generators import lend, take_up
from trainers.graphs import Steps, is_capturable
from trainers.loop import autocast, evaluate, train_epoch, use_whole_float32
from trainers.optimizer import has_capturable_optimizer, load_optimizer, make_optimizer
from trainers.schedule import make_schedule

SUMS = {"mps": torch.float32}  # that accelerator has no doubles


class SingleTrainer:
    """Trains `make_model()` on `data` as `config` says, an epoch a `step`.

    Initial weights, batch order, dropout and augmentation come from `config.seed` alone, through generators
    of the trainer's own: the same seed on the same number of CPU threads gives the same weights, whatever the
    process did before. `watch`, where it is set, hears at each batch which share of the epoch is done.
    Raises ValueError for an unknown optimizer, schedule or augmentation.
    """

    def __init__(self, make_model: Callable[[], nn.Module], data: TrainingData, config: TrainConfig) -> None:
        torch.set_num_threads(config.threads)
        self.config = config
        self.data = data.to(config.device)
        with seeded(config.seed, config.device):
            model = make_model().to(memory_format=torch.channels_last).to(config.device)
        use_whole_float32()  # after the user's own module has been imported
        self.model = fuse_pooling(model, config.threads) if config.device == "cpu" else model
        self.order = torch.Generator().manual_seed(config.seed)
        self.noise = torch.Generator(config.device).manual_seed(self.noise_seed)
        lend(self.noise, self.model)
        self.augment = make_augmentation(config.augment, torch.tensor(data.black, device=config.device), self.noise)
        self.optimizer = make_optimizer(self.model.parameters(), config)
        self.schedule = make_schedule(self.optimizer, config, self.steps_per_epoch)
        self.watch: Callable[[float], object] | None = None
        self.epoch = 0
        self._prepare()

    @property
    def noise_seed(self) -> int:
        """Of dropout and augmentation."""
        return self.config.seed

    @property
    def steps_per_epoch(self) -> int:
        return batches_of(len(self.data.train), self.config.batch_size)

    def step(self) -> list[EpochResult]:
        """Trains one epoch and evaluates it on the validation split; where that is empty, val_* are not a number."""
        started = time.perf_counter()
        indices = self._order()
        # What draws from torch's global generator, as nn.Dropout in a network of the user's own, follows the seed too.
        with seeded(self.config.seed * 10007 + self.epoch, self.config.device):
            loss, accuracy = self._train(indices)
        trained = time.perf_counter()
        val_loss, val_accuracy = self._evaluate()
        self.epoch += 1
        result = EpochResult(
            epoch=self.epoch,
            train_loss=loss,
            train_accuracy=accuracy,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            train_s=trained - started,
            eval_s=time.perf_counter() - trained,
            images=sum(len(batch) for batch in indices),
        )
        return [result]

    def weights(self, lane: int = 0) -> dict[str, Tensor]:
        """A copy of the model's weights on the CPU. Its one lane is 0."""
        return {name: value.detach().to("cpu", copy=True) for name, value in self.model.state_dict().items()}

    def save(self, lane: int = 0) -> dict[str, Any]:
        """All that `load` needs to go on as if nothing had happened: tensors and plain values."""
        return {
            "epoch": self.epoch,
            "model": self.weights(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else None,
            "order": self.order.get_state(),
            "noise": self.noise.get_state(),
        }

    def load(self, *states: dict[str, Any]) -> str:
        """Continues from what `save` returned, on whatever device. Returns a warning where it does not go on as if
        nothing had happened, else an empty text; RuntimeError if it is of another architecture."""
        (state,) = states
        self.model.load_state_dict(state["model"])
        load_optimizer(self.optimizer, state["optimizer"])
        if self.schedule:
            self.schedule.load_state_dict(state["schedule"])
        self.order.set_state(state["order"])
        self.epoch = state["epoch"]
        warning = take_up(self.noise, state["noise"], self.noise_seed, self.epoch)
        self._prepare()
        return warning

    def close(self) -> None:
        """Gives an accelerator's memory back, so that the next trial of this process finds it free."""
        del self.model, self.optimizer, self.schedule, self.augment, self.steps
        if self.config.device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _train(self, indices: tuple[Tensor, ...]) -> tuple[float, float]:
        """Mean loss and accuracy of an epoch of these batches."""
        if self.config.device.startswith("cuda"):
            return self._train_resident(indices)
        precision = self.config.precision
        return train_epoch(self.model, self.optimizer, self._batches(indices), precision, self.schedule)

    def _prepare(self) -> None:
        """For weights that have just been made or loaded: another graph."""
        self.sums = torch.zeros(2, dtype=SUMS.get(self.config.device, torch.float64), device=self.config.device)
        capture = has_capturable_optimizer(self.config) and is_capturable(self.model)
        self.steps = Steps(self._train_on, self._changed, self.noise, capture)

    def _train_resident(self, indices: tuple[Tensor, ...]) -> tuple[float, float]:
        """The same for an accelerator, which is not waited for before the epoch's end."""
        self.model.train()
        self.sums.zero_()
        self.steps.run(indices, lambda done: self._after((done + 1) / len(indices)))
        loss, accuracy = (self.sums / sum(len(batch) for batch in indices)).tolist()
        return loss, accuracy

    def _train_on(self, batch: Tensor) -> None:
        """batch: (N,) places of images."""
        self.optimizer.zero_grad(set_to_none=True)
        images, labels = self._images(batch)
        with autocast(images, self.config.precision):
            logits = self.model(images).float()
        loss = F.cross_entropy(logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.sums += torch.stack([loss.detach() * len(labels), (logits.argmax(1) == labels).sum()])

    def _after(self, done: float) -> None:
        if self.schedule:
            self.schedule.step()
        if self.watch:
            self.watch(done)

    def _changed(self) -> dict[str, Tensor]:
        states = enumerate(self.optimizer.state.values())
        kept = {f"{n}.{key}": value for n, state in states for key, value in state.items() if value is not None}
        return {"sums": self.sums, **dict(self.model.named_parameters()), **dict(self.model.named_buffers()), **kept}

    def _evaluate(self) -> tuple[float, float]:
        """Loss and accuracy on the validation split."""
        validation = self.data.validation
        return evaluate(self.model, validation, self.config.precision) if len(validation) else (math.nan, math.nan)

    def _order(self) -> tuple[Tensor, ...]:
        """The epoch's batches as index vectors into the training split."""
        order = torch.randperm(len(self.data.train), generator=self.order).to(self.config.device)
        return torch.split(order, self.config.batch_size)[: self.steps_per_epoch]

    def _batches(self, indices: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, Tensor]]:
        for done, batch in enumerate(indices):
            if self.watch:
                self.watch(done / len(indices))
            yield self._images(batch)

    def _images(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """The images of these places, augmented, and their labels."""
        train = self.data.train
        images, labels = (values.index_select(0, batch) for values in (train.images, train.labels))
        return self.augment(images) if self.augment else images, labels


def batches_of(images: int, batch_size: int) -> int:
    """How many batches an epoch has. BatchNorm cannot be trained on a single image: a last batch of one is left out."""
    whole, rest = divmod(images, batch_size)
    return max(1, whole + (rest > 1))


def warm_up(data: TrainingData, config: TrainConfig) -> None:
    """Trains a tiny network for one step, so that what a process does once (loading kernels, starting threads,
    waking an accelerator) is over before a trial's clock starts."""
    train, validation = (Split(s.images[:64], s.labels[:64]) for s in (data.train, data.validation))
    few = TrainingData(train, validation, data.black)
    channels, classes = few.train.images.shape[1], int(data.train.labels.max()) + 1
    trainer = SingleTrainer(
        lambda: nn.Sequential(
            nn.Conv2d(channels, 8, 1), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, classes)
        ),
        few,
        config,
    )
    trainer.step()
    trainer.close()


@contextmanager
def seeded(seed: int, device: str) -> Iterator[None]:
    """torch's initializers draw from the global generators: lend them our seed and put them back."""
    with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
        torch.manual_seed(seed)
        yield
