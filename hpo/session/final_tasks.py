"""The networks of the finals as Ray tasks, on the CPUs and GPUs that the trials had."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from cluster.worker_end import how_it_ended
from hpo.search.worker_settings import MAX_WORKER_LOSSES, make_worker_settings
from hpo.spec.plan import Plan
from hpo.store.checkpoint_stores import CheckpointStorage
from hpo.system.text import describe_error
from hpo.trials.finalists import final_epochs
from hpo.trials.messages import FinalOutcome, FinalRequest
from hpo.trials.records import TrialRecord
from hpo.worker.final import train_network
from hpo.worker.worker_group import cause_of

LISTEN_S = 0.2  # for Ctrl-C
SHARES = 1_000  # Ray counts CPUs to four decimals; what is rounded up would not fit
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Network:
    """One of a finalist's networks: trained on train + validation with a seed."""

    record: TrialRecord
    seed: int

    @property
    def name(self) -> str:
        return f"{self.record.trial_id}-seed-{self.seed}"


def networks_at_once(networks: int, slots: int) -> int:
    """How many networks to train at once on CPUs of which `slots` trials took all.

    Where a few networks more than fit would have a last round to themselves, and leave CPUs idle, more of them share
    the CPUs instead; up to half as many more, because each needs memory of its own.
    """
    rounds = max(1, networks // slots)
    shared = math.ceil(networks / rounds)
    return shared if 2 * shared <= 3 * slots else slots


class FinalTasks:
    """Networks trained by Ray."""

    def __init__(self, plan: Plan, storage: CheckpointStorage) -> None:
        """storage: for checkpoints, as the workers see it."""
        self._plan, self._storage = plan, storage
        self._cpu_share = 1.0  # of what a trial had, that each network has

    def run(self, networks: Sequence[Network], interrupted: threading.Event) -> Iterator[tuple[Network, FinalOutcome]]:
        """(network, outcome) of each, as they end; of fewer where `interrupted` is set."""
        if not networks:
            return
        joined = self._plan.dataset.training.joined()
        data = ray.put(joined.to_arrays(is_same_disk=self._plan.is_on_this_machine))
        waiting = deque(networks)
        running: dict[Any, tuple[Network, PlacementGroup]] = {}
        at_once = self._share_cpus(len(networks))
        try:
            while (waiting or running) and not interrupted.is_set():
                while waiting and len(running) < at_once:
                    network = waiting.popleft()
                    reference, reserved = self._start(network, data)
                    running[reference] = network, reserved
                done, _ = ray.wait(list(running), timeout=LISTEN_S)
                for reference in done:
                    network, reserved = running.pop(reference)
                    outcome = _outcome(reference, network.name)
                    remove_placement_group(reserved)
                    yield network, outcome
        finally:
            for reference, (_, reserved) in running.items():
                ray.cancel(reference, force=True)
                remove_placement_group(reserved)

    def _share_cpus(self, networks: int) -> int:
        """Decides how many networks are trained at once, and which share of a trial's CPUs each of them has."""
        slots, resources = self._plan.concurrency, self._plan.spec.resources
        if self._plan.gpus_per_trial or resources.workers_per_trial > 1:
            return slots
        at_once = networks_at_once(networks, slots)
        self._cpu_share = min(1.0, math.floor(slots / at_once * SHARES) / SHARES)
        return at_once

    def _start(self, network: Network, data: ray.ObjectRef[Any]) -> tuple[ray.ObjectRef[Any], PlacementGroup]:
        resources, gpus = self._plan.spec.resources, self._plan.gpus_per_trial
        bundles = [{**bundle, "CPU": bundle["CPU"] * self._cpu_share} for bundle in resources.bundles(gpus)]
        reserved = placement_group(bundles)
        # A process that has used a GPU ends with its task: what befell the device there is not the next one's.
        train = ray.remote(max_calls=1 if gpus else 0)(train_network).options(
            num_cpus=bundles[0]["CPU"],
            num_gpus=gpus,
            max_retries=MAX_WORKER_LOSSES,
            scheduling_strategy=PlacementGroupSchedulingStrategy(reserved, placement_group_bundle_index=0),
        )
        # In a list, so that what arrives is the reference: further workers take it too.
        record = network.record
        settings = make_worker_settings(self._plan, record.model, record.precision, self._storage)
        epochs = final_epochs(record, self._plan.spec.search.epochs)
        request = FinalRequest(name=network.name, params=record.config, seed=network.seed, epochs=epochs)
        return train.remote([data], settings, request), reserved


def _outcome(reference: Any, name: str) -> FinalOutcome:
    """What the task of a network returned, or why it returned nothing."""
    try:
        outcome: FinalOutcome = ray.get(reference)
        return outcome
    except ray.exceptions.RayTaskError as error:
        logger.error("a final failed", exc_info=error)
        return FinalOutcome(error=describe_error(cause_of(error)))
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError):
        return FinalOutcome(error=how_it_ended(name))
