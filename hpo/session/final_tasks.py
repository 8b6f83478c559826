"""The networks of the finals as Ray tasks: as many at once as there were trials."""

from __future__ import annotations

import logging
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
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Network:
    """One of a finalist's networks: trained on train + validation with a seed."""

    record: TrialRecord
    seed: int

    @property
    def name(self) -> str:
        return f"{self.record.trial_id}-seed-{self.seed}"


class FinalTasks:
    """Networks trained by Ray, as many at once as trials were."""

    def __init__(self, plan: Plan, storage: CheckpointStorage) -> None:
        """storage: for checkpoints, as the workers see it."""
        self._plan, self._storage = plan, storage

    def run(self, networks: Sequence[Network], interrupted: threading.Event) -> Iterator[tuple[Network, FinalOutcome]]:
        """(network, outcome) of each, as they end; of fewer where `interrupted` is set."""
        if not networks:
            return
        joined = self._plan.dataset.training.joined()
        data = ray.put(joined.to_arrays(is_same_disk=self._plan.is_on_this_machine))
        waiting = deque(networks)
        running: dict[Any, tuple[Network, PlacementGroup]] = {}
        try:
            while (waiting or running) and not interrupted.is_set():
                while waiting and len(running) < self._plan.concurrency:
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

    def _start(self, network: Network, data: ray.ObjectRef[Any]) -> tuple[ray.ObjectRef[Any], PlacementGroup]:
        resources, gpus = self._plan.spec.resources, self._plan.gpus_per_trial
        reserved = placement_group(resources.bundles(gpus))
        # A process that has used a GPU ends with its task: what befell the device there is not the next one's.
        train = ray.remote(max_calls=1 if gpus else 0)(train_network).options(
            num_cpus=resources.cpus_per_trial,
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
