"""The networks of the finals as Ray tasks: as many at once as there were trials."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from cluster.worker_end import how_it_ended
from hpo.search.plan import Plan
from hpo.store.checkpoints import CheckpointStorage
from hpo.system.text import describe_error
from hpo.trials.records import TrialRecord
from hpo.worker.final import train_network

MAX_RETRIES = 2  # a network whose worker dies is trained again this often, from its last checkpoint
LISTEN_S = 0.2  # for Ctrl-C
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Network:
    """One of a finalist's networks: trained on train + validation with a seed, for the epochs its trial found."""

    record: TrialRecord
    seed: int

    @property
    def name(self) -> str:
        return f"{self.record.trial_id}-seed-{self.seed}"


class FinalTasks:
    """Networks trained by Ray, as many at once as trials were."""

    def __init__(self, plan: Plan, place: CheckpointStorage) -> None:
        self._plan, self._place = plan, place

    def run(
        self, networks: Sequence[Network], interrupted: threading.Event
    ) -> Iterator[tuple[Network, dict[str, Any]]]:
        """(network, outcome) of each, as they end; of fewer where `interrupted` is set."""
        if not networks:
            return
        data = ray.put(self._plan.dataset.training.joined().to_arrays())
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
            max_retries=MAX_RETRIES,
            scheduling_strategy=PlacementGroupSchedulingStrategy(reserved, placement_group_bundle_index=0),
        )
        # In a list, so that what arrives is the reference: further workers take it too.
        return train.remote([data], self._settings(network)), reserved

    def _settings(self, network: Network) -> dict[str, Any]:
        plan, record = self._plan, network.record
        return {
            "name": network.name,
            "model": record.model,
            "params": record.config,
            "seed": network.seed,
            "best_epoch": record.best_epoch,
            "epochs": plan.spec.search.epochs,
            "input_shape": plan.dataset.input_shape,
            "num_classes": len(plan.dataset.classes),
            "checkpoints": self._place,
            "import_from": os.getcwd(),
            "train": {
                "precision": record.precision,
                "device": plan.device,
                "threads": plan.spec.resources.cpus_per_trial,
            },
            "workers": plan.spec.resources.workers_per_trial,
            "gpus": plan.gpus_per_trial,
        }


def _outcome(reference: Any, name: str) -> dict[str, Any]:
    """What the task of a network returned, or why it returned nothing."""
    try:
        return dict(ray.get(reference))
    except ray.exceptions.RayTaskError as error:
        logger.error("a final failed", exc_info=error)
        cause = error.cause if getattr(error, "cause", None) else error
        return {"error": describe_error(cause)}
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError):
        return {"error": how_it_ended(name)}
