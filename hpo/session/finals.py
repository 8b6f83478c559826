"""The finals: the best of each architecture trained anew, with fresh seeds, on training and validation images together;
then the test set, opened once for each of them.

What is trained lies in a journal and in files, so that finals that were cut short go on where they were.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
import torch
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from cluster.worker_end import how_it_ended
from hpo.search.worker_settings import make_worker_settings
from hpo.store.checkpoint_stores import CheckpointStorage
from hpo.store.finals_file import check_row, packed, read_finalists
from hpo.store.journal import Journal, scan, set_aside
from hpo.store.run_folder import RunFolder
from hpo.system.text import describe_error
from hpo.trials.finalists import Finalist, final_seeds
from hpo.trials.records import TrialRecord
from hpo.worker.final import FinalRequest, train_network
from hpo.worker.settings import WorkerSettings
from models import build_model
from trainers import checkpoint
from trainers.config import split_config

if TYPE_CHECKING:
    from hpo.spec.plan import Plan

WORKERS_LOST = 2  # a network whose worker dies is trained again this often, from its last checkpoint
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


def run_finals(
    plan: Plan,
    folder: RunFolder,
    place: CheckpointStorage,
    chosen: Sequence[TrialRecord],
    interrupted: threading.Event,
    tell: Callable[[str], object] = lambda _: None,
) -> None:
    """Trains what is missing of the finalists' networks, as Ray tasks, and opens the test set once for each finalist
    whose networks are all there; for fewer than chosen where `interrupted` is set or one could not be trained. What
    came of it is in the folder's journal (hpo/trials/finalists.py reads it).

    place: for checkpoints, as the workers see it. Raises OSError where the disk does not take a result, and ray's
    RayError where Ray is lost.
    """
    finals = _Finals(plan, folder, tell)
    try:
        for network, outcome in _Tasks(plan, place).run(finals.untrained(chosen), interrupted):
            finals.keep(network, outcome)
            finals.test_if_whole(network.record)
        for record in chosen:  # those that a kill cut off between training and test
            if not interrupted.is_set():
                finals.test_if_whole(record)
    finally:
        finals.journal.close()


def seeds(plan: Plan) -> tuple[int, ...]:
    return final_seeds(plan.spec.search.seed, plan.spec.finals.final_seeds)


class _Finals:
    """What is trained and tested: the journal, and the weights of networks that wait for their finalist's test."""

    def __init__(self, plan: Plan, folder: RunFolder, tell: Callable[[str], object]) -> None:
        self.plan, self.folder, self.tell = plan, folder, tell
        self.seeds = seeds(plan)
        folder.final_weights.mkdir(exist_ok=True)
        set_aside(folder.finals, scan(folder.finals, check_row))
        self.journal = Journal(folder.finals)
        self.failed: set[str] = set()

    def finished(self, chosen: Sequence[TrialRecord]) -> list[Finalist]:
        return read_finalists(self.folder.finals, chosen, self.seeds)

    def untrained(self, chosen: Sequence[TrialRecord]) -> list[Network]:
        done = {finalist.record.trial_id for finalist in self.finished(chosen)}
        networks = [Network(record, seed) for record in chosen if record.trial_id not in done for seed in self.seeds]
        missing = [network for network in networks if not self._is_trained(network)]
        self.total, self.done = len(missing), 0
        return missing

    def keep(self, network: Network, outcome: dict[str, Any]) -> None:
        """outcome: what `train_network` returned, or {"error": why there is none}."""
        weights = outcome.pop("weights", None)
        if weights is not None:
            checkpoint.save(self._weights(network), weights)
        else:
            self.failed.add(network.name)
            logger.error("%s: %s", network.name, outcome["error"])
        self.journal.append({"what": "trained", "trial_id": network.record.trial_id, "seed": network.seed, **outcome})
        if outcome.get("warning"):
            logger.warning("%s: %s", network.name, outcome["warning"])
        self.done += 1
        how = outcome.get("error") or f"{outcome['epochs']} epochs, {outcome['train_s']:.1f} s"
        self.tell(f"[{self.done}/{self.total}] final of {network.record.trial_id}, seed {network.seed}: {how}")

    def test_if_whole(self, record: TrialRecord) -> None:
        """Opens the test set for a finalist whose networks are all trained, or failed, and at least one is."""
        if self.finished([record]):
            return
        networks = [Network(record, seed) for seed in self.seeds]
        trained = [network for network in networks if self._weights(network).exists()]
        if not trained or len(trained) + sum(network.name in self.failed for network in networks) < len(networks):
            return
        try:
            right = np.stack([self._right(network) for network in trained])
        except (RuntimeError, ValueError, OSError) as error:
            logger.exception("%s cannot be tested", record.trial_id)
            self.tell(f"{record.trial_id} cannot be tested: {describe_error(error, 200)}")
            return
        self.journal.append(
            {
                "what": "tested",
                "trial_id": record.trial_id,
                "asked": list(self.seeds),
                "seeds": [network.seed for network in trained],
                "images": right.shape[1],
                "right": [packed(row) for row in right],
            }
        )
        for network in trained:
            self._weights(network).unlink()

    def _is_trained(self, network: Network) -> bool:
        """Whether its weights lie there; what is damaged of them is removed, because they can be made again."""
        path = self._weights(network)
        try:
            checkpoint.load(path)
        except FileNotFoundError:
            return False
        except ValueError as error:
            logger.warning("%s: trained again", error)
            path.unlink()
            return False
        return True

    def _weights(self, network: Network) -> Path:
        return self.folder.final_weights / f"{network.name}.pt"

    def _right(self, network: Network) -> np.ndarray:
        """What a network gets right of the test set: (images,) of bool."""
        from trainers.loop import predict

        data, record = self.plan.dataset, network.record
        # Where the trials ran; but the driver of a cluster may have no accelerator.
        device = "cuda" if self.plan.device == "cuda" and torch.cuda.is_available() else "cpu"
        arch = {key: value for key, value in split_config(record.config)[1].items() if key != "pretrained"}
        model = build_model(record.model, data.input_shape, len(data.classes), **arch)
        model.load_state_dict(checkpoint.load(self._weights(network)))
        split = data.test.open()
        logits = predict(model.to(device), split.to(device), record.precision)
        return (logits.argmax(1) == split.labels).numpy()


class _Tasks:
    """Networks trained by Ray, as many at once as trials were."""

    def __init__(self, plan: Plan, place: CheckpointStorage) -> None:
        self.plan, self.place = plan, place

    def run(
        self, networks: Sequence[Network], interrupted: threading.Event
    ) -> Iterator[tuple[Network, dict[str, Any]]]:
        """(network, outcome) of each, as they end; of fewer where `interrupted` is set."""
        if not networks:
            return
        self.data = ray.put(self.plan.dataset.training.joined().to_arrays())
        waiting = deque(networks)
        running: dict[Any, tuple[Network, PlacementGroup]] = {}
        try:
            while (waiting or running) and not interrupted.is_set():
                while waiting and len(running) < self.plan.concurrency:
                    network = waiting.popleft()
                    reference, place = self._start(network)
                    running[reference] = network, place
                done, _ = ray.wait(list(running), timeout=LISTEN_S)
                for reference in done:
                    network, place = running.pop(reference)
                    outcome = _outcome(reference, network.name)
                    remove_placement_group(place)
                    yield network, outcome
        finally:
            for reference, (_, place) in running.items():
                ray.cancel(reference, force=True)
                remove_placement_group(place)

    def _start(self, network: Network) -> tuple[ray.ObjectRef[Any], PlacementGroup]:
        place = placement_group(self.plan.spec.resources.bundles(self.plan.gpus_per_trial))
        first = PlacementGroupSchedulingStrategy(place, placement_group_bundle_index=0)
        # A process that has used a GPU ends with its task: what befell the device there is not the next one's.
        calls = 1 if self.plan.gpus_per_trial else 0
        train = ray.remote(max_calls=calls)(train_network).options(
            num_cpus=self.plan.spec.resources.cpus_per_trial,
            num_gpus=self.plan.gpus_per_trial,
            max_retries=WORKERS_LOST,
            scheduling_strategy=first,
        )
        # In a list, so that what arrives is the reference: further workers take it too.
        request = FinalRequest(
            name=network.name,
            params=network.record.config,
            seed=network.seed,
            epochs=network.record.best_epoch or 0,
        )
        return train.remote([self.data], self._settings(network), request), place

    def _settings(self, network: Network) -> WorkerSettings:
        return make_worker_settings(self.plan, network.record.model, network.record.precision, self.place)


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
