"""The trainer for one model on several processes, which share each batch (data parallel): torch.distributed alone.

One process leads: it is asked for steps, and has the results and the weights. The others `serve`: they do whatever the
leader does, on their own part of each batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.nn.functional  # before a group is there: its defaults would keep the first one for good
from torch import Tensor, nn
from torch.distributed import GradBucket, PrefixStore, TCPStore  # type: ignore[attr-defined]
from torch.futures import Future
from torch.nn.parallel import DistributedDataParallel

from trainers.config import EpochResult, TrainConfig
from trainers.data.dataset import Split, TrainingData
from trainers.loop import evaluate, train_epoch
from trainers.single import SingleTrainer

JOIN_S = 120.0  # a process that has not joined by then will not
LEADER = 0
_CLOSE, _STEP, _SAVE, _LOAD = range(4)  # what the leader does, as it is told to the others


@dataclass(frozen=True)
class RankInfo:
    """A process's place among `size` of them; `rank` 0 leads. host, port: where the leader can be found."""

    host: str
    port: int
    rank: int
    size: int


def open_rendezvous(host: str) -> TCPStore:
    """Where the processes meet, at a free port: to be called by the leader, and kept until its trainer is made."""
    return TCPStore(host, 0, is_master=True, wait_for_workers=False)


class DistributedTrainer(SingleTrainer):
    """Trains as `SingleTrainer` does, each batch shared by all processes: the batch size stays that of the whole batch,
    gradients and what is measured are those of all its images.

    Dropout and augmentation draw other numbers in each process. BatchNorm takes the statistics of each process's part,
    as is usual; its running ones are averaged at each epoch's end. A last batch with less than two images for each
    process is left out; another one that small (see `images_needed`) is of some processes alone. Raises RuntimeError
    where a process is lost or does not come.
    """

    def __init__(
        self,
        make_model: Callable[[], nn.Module],
        data: TrainingData,
        config: TrainConfig,
        seat: RankInfo,
        rendezvous: TCPStore | None = None,
    ) -> None:
        self.seat, self.share, self.least, self.broken = seat, 1.0, 1, False
        store = rendezvous or TCPStore(seat.host, seat.port, is_master=False, timeout=timedelta(seconds=JOIN_S))
        dist.init_process_group(
            "nccl" if config.device.startswith("cuda") else "gloo",
            store=PrefixStore("group", store),
            rank=seat.rank,
            world_size=seat.size,
            timeout=timedelta(seconds=JOIN_S),
        )
        try:
            super().__init__(make_model, data, config)
            self.least = images_needed(self.model)
            self.replica = DistributedDataParallel(self.model, forward_sync_buffers=False)
        except BaseException:
            dist.destroy_process_group()
            raise
        self.replica.register_comm_hook(self, _add_up)

    @property
    def noise_seed(self) -> int:
        """Another one in each process; the leader's is that of a single process."""
        return self.config.seed + self.seat.rank * 1_000_003

    @property
    def steps_per_epoch(self) -> int:
        whole, rest = divmod(len(self.data.train), self.config.batch_size)
        return max(1, whole + (rest >= 2 * self.seat.size))

    def serve(self) -> None:
        """Follows the leader until it closes; for every process but the leader's. After an error the process is to end:
        only that closes its connections, on which the others wait."""
        deeds: dict[int, Callable[[], object]] = {
            _STEP: super().step,
            _SAVE: self._gather_noise,
            _LOAD: lambda: self._take_over({}),
        }
        while (command := self._tell(_CLOSE)) != _CLOSE:
            deeds[command]()
        self._leave()

    def step(self) -> list[EpochResult]:
        self._tell(_STEP)
        try:
            return super().step()
        except BaseException:
            self.broken = True
            raise

    def save(self, lane: int = 0) -> dict[str, Any]:
        self._tell(_SAVE)
        return {**super().save(), "noises": self._gather_noise()}

    def load(self, *states: dict[str, Any]) -> str:
        self._tell(_LOAD)
        try:
            return self._take_over(*states)
        except BaseException:
            self.broken = True
            raise

    def close(self) -> None:
        if not self.broken:
            with suppress(RuntimeError):  # a process that is lost need not be told
                self._tell(_CLOSE)
        self._leave()  # where a step broke off, the others are within it and hear nothing

    def _leave(self) -> None:
        del self.replica
        super().close()
        dist.destroy_process_group()

    def _tell(self, command: int) -> int:
        """What the leader does, heard by all."""
        word = torch.tensor([command], device=self.config.device)
        dist.broadcast(word, LEADER)
        return int(word.item())

    def _take_over(self, state: dict[str, Any]) -> str:
        box = [state]
        dist.broadcast_object_list(box, LEADER, device=torch.device(self.config.device))
        noises = box[0]["noises"]
        return super().load({**box[0], "noise": noises[self.seat.rank]})

    def _gather_noise(self) -> list[Tensor]:
        """The states of all processes' noise, by rank."""
        states: list[Any] = [None] * self.seat.size
        dist.all_gather_object(states, self.noise.get_state())
        return states

    def _train(self, indices: tuple[Tensor, ...]) -> tuple[float, float]:
        batches, precision = self._batches(indices), self.config.precision
        loss, accuracy = train_epoch(
            self.replica, self.optimizer, batches, precision, self.schedule, lambda: self.share > 0
        )
        own = sum(len(self._part(batch)) for batch in indices)
        for buffer in self.model.buffers():
            if buffer.is_floating_point():
                dist.all_reduce(buffer)
                buffer /= self.seat.size
        return self._mean(loss, accuracy, own)

    def _evaluate(self) -> tuple[float, float]:
        whole = self.data.validation
        own = Split(self._part(whole.images), self._part(whole.labels))
        if not len(whole):
            return super()._evaluate()
        loss, accuracy = evaluate(self.model, own, self.config.precision) if len(own) else (0.0, 0.0)
        return self._mean(loss, accuracy, len(own))

    def _batches(self, indices: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, Tensor]]:
        parts = [self._part(batch) for batch in indices]
        # A process that has no part takes its steps all the same, on images that count for nothing.
        used = tuple(part if len(part) else whole[: self.least] for part, whole in zip(parts, indices, strict=True))
        for whole, part, batch in zip(indices, parts, super()._batches(used), strict=True):
            self.share = len(part) / len(whole)
            yield batch

    def _part(self, values: Tensor) -> Tensor:
        """This process's part of what all share: empty where there is not enough for all."""
        sharing = max(1, min(self.seat.size, len(values) // self.least))
        return values.tensor_split(sharing)[self.seat.rank] if self.seat.rank < sharing else values[:0]

    def _mean(self, loss: float, accuracy: float, count: int) -> tuple[float, float]:
        """Of all processes' images, from the means over so many of this one's."""
        sums = torch.tensor([loss * count, accuracy * count, count], dtype=torch.float64, device=self.config.device)
        dist.all_reduce(sums)
        loss_sum, right, images = sums.tolist()
        return loss_sum / images, right / images


def images_needed(model: nn.Module) -> int:
    """How many images a training step of the model needs: BatchNorm has no variance of one."""
    return 2 if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()) else 1


def _add_up(trainer: DistributedTrainer, bucket: GradBucket) -> Future[Tensor]:
    """Adds up the processes' gradients, each a mean over its part of the batch, weighted by the size of that part:
    the gradient of the whole batch's mean, also where it cannot be shared evenly."""
    # Not a product with 0: nothing of what a process without a part computes, finite or not, is the others'.
    gradients = bucket.buffer().mul_(trainer.share) if trainer.share else bucket.buffer().zero_()
    done = dist.all_reduce(gradients, async_op=True).get_future()
    return done.then(lambda future: future.value()[0])


_add_up.__annotations__.clear()  # PyTorch checks them, and takes them as text for wrong ones
