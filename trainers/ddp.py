"""The trainer of one network on several processes, which share each batch (data parallel, torch.distributed only).

The process of rank 0 leads: it is asked for steps, and it has the results and the weights. The other ranks `serve`:
they do what the leader does, each on its own part of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.nn.functional  # before a group exists: its default arguments would keep the first group alive
from torch import Tensor, nn
from torch.distributed import GradBucket, PrefixStore, TCPStore  # type: ignore[attr-defined]
from torch.futures import Future
from torch.nn.parallel import DistributedDataParallel

from trainers.config import EpochResult, TrainConfig
from trainers.criteria.losses import Target
from trainers.criteria.metrics import judged
from trainers.criteria.own import NONE, OwnFunctions
from trainers.data.splits import Split, TrainingData
from trainers.loop import evaluate, predict
from trainers.single import SingleTrainer

JOIN_TIMEOUT_S = 120.0  # a process that has not joined by then will not join
LEADER_RANK = 0
_RANK_SEED_STEP = 1_000_003  # between the noise seeds of two ranks: far apart, so that studies' seeds do not meet them
_CLOSE, _STEP, _SAVE, _LOAD = range(4)  # commands of the leader


@dataclass(frozen=True)
class RankInfo:
    """A process's place in the group."""

    host: str
    """Address of the leader."""
    port: int
    """Port of the leader's rendezvous."""
    rank: int
    """Number of this process, from 0."""
    world_size: int
    """Number of processes."""


def open_rendezvous(host: str) -> TCPStore:
    """Opens the store where the processes meet, at a free port; the leader keeps it until its trainer is made."""
    return TCPStore(host, 0, is_master=True, wait_for_workers=False)


class DistributedTrainer(SingleTrainer):
    """Trains as `SingleTrainer` does, with each batch shared by all processes.

    The batch size stays that of the whole batch; gradients and measured values are those of all its images. Each
    process draws its own dropout and augmentation. BatchNorm uses the statistics of each process's part, as usual with
    DistributedDataParallel; its running statistics are averaged at each epoch's end. A last batch with less than two
    images per process is left out; any other batch that small (see `images_needed`) is shared by some processes only.

    info: this process's place. rendezvous: what `open_rendezvous` returned, for the leader only. Raises RuntimeError
    where a process is lost or does not join within `JOIN_TIMEOUT_S`.
    """

    def __init__(
        self,
        make_model: Callable[[], nn.Module],
        data: TrainingData,
        config: TrainConfig,
        info: RankInfo,
        rendezvous: TCPStore | None = None,
        own: OwnFunctions = NONE,
    ) -> None:
        self.info, self.share, self.broken = info, 1.0, False
        timeout = timedelta(seconds=JOIN_TIMEOUT_S)
        store = rendezvous or TCPStore(info.host, info.port, is_master=False, timeout=timeout)
        dist.init_process_group(
            "nccl" if config.device.startswith("cuda") else "gloo",
            store=PrefixStore("group", store),
            rank=info.rank,
            world_size=info.world_size,
            timeout=timeout,
        )
        try:
            super().__init__(make_model, data, config, own=own)
            self.min_images = images_needed(self.model)
            self.replica = DistributedDataParallel(self.model, forward_sync_buffers=False)
        except BaseException:
            dist.destroy_process_group()
            raise
        self.replica.register_comm_hook(self, _add_up)

    @property
    def noise_seed(self) -> int:
        """The seed of this process's dropout and augmentation; the leader's is that of a single process."""
        return self.config.seed + self.info.rank * _RANK_SEED_STEP

    @property
    def steps_per_epoch(self) -> int:
        """The number of optimizer steps in an epoch, the same in all processes."""
        whole, rest = divmod(len(self.data.train), self.config.batch_size)
        return max(1, whole + (rest >= 2 * self.info.world_size))

    def serve(self) -> None:
        """Follows the leader until it closes; for all ranks but the leader's.

        After an error the process must end: only that closes its connections, on which the others wait.
        """
        actions: dict[int, Callable[[], object]] = {
            _STEP: super().step,
            _SAVE: self._gather_noise,
            _LOAD: lambda: self._load_everywhere({}),
        }
        while (command := self._share_command(_CLOSE)) != _CLOSE:
            actions[command]()
        self._leave()

    def step(self) -> list[EpochResult]:
        """Trains one epoch in all processes; see `SingleTrainer.step`."""
        self._share_command(_STEP)
        try:
            return super().step()
        except BaseException:
            self.broken = True
            raise

    def save(self, trial: int = 0) -> dict[str, Any]:
        """Returns what `SingleTrainer.save` does, with the generator states of all ranks."""
        self._share_command(_SAVE)
        return {**super().save(), "noises": self._gather_noise()}

    def load(self, *states: dict[str, Any]) -> str:
        """Continues from a state in all processes; see `SingleTrainer.load`."""
        self._share_command(_LOAD)
        try:
            return self._load_everywhere(*states)
        except BaseException:
            self.broken = True
            raise

    def close(self) -> None:
        """Ends the training in all processes, and leaves the group."""
        if not self.broken:  # after a step that failed, the others are still within it and hear nothing
            with suppress(RuntimeError):  # a lost process need not be told
                self._share_command(_CLOSE)
        self._leave()

    def _leave(self) -> None:
        del self.replica
        super().close()
        dist.destroy_process_group()

    def _share_command(self, command: int) -> int:
        """Returns the leader's command in every process; what the others pass is ignored."""
        word = torch.tensor([command], device=self.config.device)
        dist.broadcast(word, LEADER_RANK)
        return int(word.item())

    def _load_everywhere(self, state: dict[str, Any]) -> str:
        """Loads the leader's state; what the others pass is ignored."""
        shared = [state]
        dist.broadcast_object_list(shared, LEADER_RANK, device=torch.device(self.config.device))
        noises = shared[0]["noises"]
        return super().load({**shared[0], "noise": noises[self.info.rank]})

    def _gather_noise(self) -> list[Tensor]:
        """Returns the generator states of all processes, by rank."""
        states: list[Any] = [None] * self.info.world_size
        dist.all_gather_object(states, self.noise.get_state())
        return states

    def _train(self, indices: tuple[Tensor, ...]) -> tuple[float, float]:
        loss, accuracy = self._train_batches(self.replica, indices, lambda: self.share > 0)
        own = sum(len(self._part(batch)) for batch in indices)
        self._share_statistics()
        return self._mean(loss, accuracy, own)

    def _share_statistics(self) -> None:
        """Replaces BatchNorm's running statistics, and their averages over the steps, by the processes' mean."""
        averages = self.average.averages if self.average else {}
        for name, buffer in self.model.named_buffers():
            if buffer.is_floating_point():
                for values in (buffer, averages[name]) if averages else (buffer,):
                    dist.all_reduce(values)
                    values /= self.info.world_size

    def _evaluate(self) -> tuple[float, float, float | None]:
        whole = self.data.validation
        own = whole.chosen(self._part(torch.arange(len(whole), device=self.config.device)))
        if not len(whole):
            return super()._evaluate()
        if self.score is not None:
            logits, labels = self._gathered(own)
            return judged(logits, labels, self.score)
        loss, accuracy = evaluate(self.model, own, self.config.precision) if len(own) else (0.0, 0.0)
        return *self._mean(loss, accuracy, len(own)), None

    def _gathered(self, own: Split) -> tuple[Tensor, Tensor]:
        """Returns the logits and labels of all processes' images."""
        logits = predict(self.model, own, self.config.precision) if len(own) else None
        parts: list[Any] = [None] * self.info.world_size
        dist.all_gather_object(parts, (logits, own.labels.cpu()))
        known = [part for part in parts if part[0] is not None]
        return torch.cat([logits for logits, _ in known]), torch.cat([labels for _, labels in known])

    def _batches(self, indices: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, Target]]:
        parts = [self._part(batch) for batch in indices]
        # A process without a part takes its steps all the same, on images that do not count: all-reduce needs it.
        pairs = zip(parts, indices, strict=True)
        used = tuple(part if len(part) else whole[: self.min_images] for part, whole in pairs)
        for whole, part, batch in zip(indices, parts, super()._batches(used), strict=True):
            self.share = len(part) / len(whole)
            yield batch

    def _part(self, values: Tensor) -> Tensor:
        return part_of_rank(values, self.info.rank, self.info.world_size, self.min_images)

    def _mean(self, loss: float, accuracy: float, count: int) -> tuple[float, float]:
        """Returns the means over all processes' images, from the means over `count` images of this process."""
        sums = torch.tensor([loss * count, accuracy * count, count], dtype=torch.float64, device=self.config.device)
        dist.all_reduce(sums)
        loss_sum, right, images = sums.tolist()
        return loss_sum / images, right / images


def part_of_rank(values: Tensor, rank: int, world_size: int, min_images: int) -> Tensor:
    """Returns the rank's part of values (N, ...): at least `min_images`, or none where N is too small for all."""
    sharing = max(1, min(world_size, len(values) // min_images))
    return values.tensor_split(sharing)[rank] if rank < sharing else values[:0]


def images_needed(model: nn.Module) -> int:
    """Returns how many images a training step of the network needs: BatchNorm cannot take the variance of one."""
    return 2 if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()) else 1


def _add_up(trainer: DistributedTrainer, bucket: GradBucket) -> Future[Tensor]:
    """Adds up the processes' gradients, each weighted by its part of the batch.

    Each is the mean over its part, so that the sum is the gradient of the whole batch's mean, also for uneven parts.
    """
    # Not a product with 0: a NaN that a process without a part computes must not reach the others.
    gradients = bucket.buffer().mul_(trainer.share) if trainer.share else bucket.buffer().zero_()
    done = dist.all_reduce(gradients, async_op=True).get_future()
    return done.then(lambda future: future.value()[0])


_add_up.__annotations__.clear()  # PyTorch checks them, and rejects annotations that are text
