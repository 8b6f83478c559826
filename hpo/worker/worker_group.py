"""The further workers of a trial that is spread over several: actors in the other bundles of its placement group."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError
from ray.util.placement_group import get_current_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from torch import nn

from hpo.spec.spaces.own_functions import own_functions
from hpo.worker.last_words import leave
from hpo.worker.process import prepare
from hpo.worker.settings import WorkerSettings
from trainers.config import TrainConfig
from trainers.criteria.own import OwnFunctions
from trainers.data.images.scaling import Scaling
from trainers.data.splits import TrainingArrays, TrainingData
from trainers.ddp import DistributedTrainer, RankInfo, open_rendezvous
from trainers.single import SingleTrainer

MEMBER_END_S = 5.0  # for a peer to end its trial, or its process, by itself
# Exit code of a worker that has lost a peer: it is started again, with new ones, like one that died. EX_TEMPFAIL of
# sysexits.h: try again.
EXIT_LOST_MEMBER = 75


class GroupMember:
    """One of the further workers: keeps the data, and follows one trial's leader after the other."""

    def __init__(self, arrays: TrainingArrays, settings: WorkerSettings) -> None:
        self.arrays, self.settings = arrays, settings
        self.data: TrainingData | None = None

    def prepare(self) -> None:
        """No part of its start: an actor that raises there is one that died, and its error is lost."""
        if self.data is None:
            self.data = prepare(self.arrays, self.settings)

    def follow(self, make: Callable[[], nn.Module], config: TrainConfig, seat: RankInfo, scaling: Scaling) -> None:
        """Trains a network until its leader closes."""
        assert self.data is not None
        DistributedTrainer(make, self.data.scaled(scaling), config, seat, own=own_functions(config)).serve()


class WorkerGroup:
    """Those of one leader: they end with it, because Ray ends the actors of a process that is gone."""

    def __init__(self, data: ray.ObjectRef[Any], settings: WorkerSettings) -> None:
        self.data, self.settings, self.size = data, settings, settings.workers
        self.following: list[Any] = []
        self.actors: list[Any] = []
        self._start_all()

    def lead(
        self, make: Callable[[], nn.Module], data: TrainingData, config: TrainConfig, own: OwnFunctions
    ) -> SingleTrainer:
        """The trainer of a network, which all peers follow until it closes."""
        ray.get([actor.prepare.remote() for actor in self.actors])
        host = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        rendezvous = open_rendezvous(host)
        leader, *others = (RankInfo(host, rendezvous.port, rank, self.size) for rank in range(self.size))
        self.following = [
            actor.follow.remote(make, config, seat, data.scaling)
            for actor, seat in zip(self.actors, others, strict=True)
        ]
        threading.Thread(target=self._watch, args=(self.following,), daemon=True).start()
        return DistributedTrainer(make, data, config, leader, rendezvous, own)

    def cause(self, error: Exception) -> Exception:
        """What an error of the leader's comes of: itself, or what a peer raised. Ends all peers.

        Where it is that a peer's process is gone, this one goes too, and the trial is started again from its last
        checkpoint, as if its one worker had died.
        """
        errors, lost = [cause_of(error)], isinstance(error, RayActorError) and not self.ended
        for reference in ray.wait(self.following, num_returns=len(self.following), timeout=MEMBER_END_S)[0]:
            try:
                ray.get(reference)
            except RayActorError:
                lost = not self.ended
            except RayTaskError as raised:
                errors.append(cause_of(raised))
        if lost:
            leave(EXIT_LOST_MEMBER)
        self._end_all()
        return next((each for each in errors if not _is_of_the_connection(each)), errors[0])

    def close(self) -> None:
        """The trial is over: peers that do not end it, or were ended, are replaced by new ones."""
        in_time = (
            ray.wait(self.following, num_returns=len(self.following), timeout=MEMBER_END_S)[0] if self.following else []
        )
        if self.ended or len(in_time) < len(self.following):
            self._end_all()
            self._start_all()
        self.following = []

    def _watch(self, following: list[Any]) -> None:
        """Where a peer raises, all are ended: the leader would wait for its part of a batch for long."""
        left = following
        while left:
            (first,), left = ray.wait(left)
            try:
                ray.get(first)
            except RayTaskError:
                self._end_all()
                return
            except RayActorError:
                return  # which the leader notices by itself

    def _end_all(self) -> None:
        self.ended = True
        for actor in self.actors:
            ray.kill(actor)

    def _start_all(self) -> None:
        self.ended = False
        self.actors = [self._start(bundle) for bundle in range(1, self.size)]

    def _start(self, bundle: int) -> Any:
        group = get_current_placement_group()
        assert group is not None, "a trial of several workers has a bundle for each"
        place = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=bundle)
        cpus, gpus = self.settings.threads, self.settings.gpus
        options = ray.remote(GroupMember).options(num_cpus=cpus, num_gpus=gpus, scheduling_strategy=place)
        return options.remote(self.data, self.settings)


def cause_of(error: Exception) -> Exception:
    """What was raised, where it was in another process."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    return cause if isinstance(cause, Exception) else error


def _is_of_the_connection(error: Exception) -> bool:
    """Whether it says no more than that another process went away."""
    words = str(error).lower()
    return isinstance(error, RuntimeError) and any(name in words for name in ("gloo", "nccl", "connection"))
