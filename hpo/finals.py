"""The finals: the best of each architecture trained anew, with fresh seeds, on training and validation images together;
then the test set, opened once for each of them.

What is trained lies in a journal and in files, so that finals that were cut short go on where they were.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
import torch

from hpo.checkpoints import Checkpoints, Place
from hpo.finalists import Finalist, final_seeds, order, packed, read_finalists
from hpo.folder import RunFolder
from hpo.journal import Journal
from hpo.records import TrialRecord
from hpo.study import rungs
from models import build_model
from trainers import checkpoint
from trainers.config import TrainConfig, split_config

if TYPE_CHECKING:
    from hpo.preflight import Plan

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
    place: Place,
    chosen: Sequence[TrialRecord],
    interrupted: threading.Event,
    tell: Callable[[str], object] = lambda _: None,
) -> list[Finalist]:
    """Trains what is missing of the finalists' networks, as Ray tasks, and opens the test set once for each finalist
    whose networks are all there. Returns those that are finished, in `order`; fewer than chosen where `interrupted` is
    set or a finalist could not be trained.

    place: for checkpoints, as the workers see it. Raises OSError where the disk does not take a result, and ray's
    RayError where Ray is lost.
    """
    finals = _Finals(plan, folder, tell)
    try:
        with_data = _Tasks(plan, place)
        for network, outcome in with_data.run(finals.untrained(chosen), interrupted):
            finals.keep(network, outcome)
            finals.test_if_whole(network.record)
        for record in chosen:  # those that a kill cut off between training and test
            if not interrupted.is_set():
                finals.test_if_whole(record)
    finally:
        finals.journal.close()
    return order(read_finalists(folder.finals, chosen, seeds(plan)))


def seeds(plan: Plan) -> tuple[int, ...]:
    return final_seeds(plan.spec.search.seed, plan.spec.finals.final_seeds)


class _Finals:
    """What is trained and tested: the journal, and the weights of networks that wait for their finalist's test."""

    def __init__(self, plan: Plan, folder: RunFolder, tell: Callable[[str], object]) -> None:
        self.plan, self.folder, self.tell = plan, folder, tell
        self.seeds = seeds(plan)
        folder.final_weights.mkdir(exist_ok=True)
        self.journal = Journal(folder.finals)
        self.failed: set[str] = set()

    def finished(self, chosen: Sequence[TrialRecord]) -> list[Finalist]:
        return read_finalists(self.folder.finals, chosen, self.seeds)

    def untrained(self, chosen: Sequence[TrialRecord]) -> list[Network]:
        done = {finalist.record.trial_id for finalist in self.finished(chosen)}
        networks = [Network(record, seed) for record in chosen if record.trial_id not in done for seed in self.seeds]
        missing = [network for network in networks if not self._weights(network).exists()]
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
        except RuntimeError as error:
            logger.exception("%s cannot be tested", record.trial_id)
            self.tell(f"{record.trial_id} cannot be tested: {' '.join(str(error).split())[:200]}")
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

    def _weights(self, network: Network) -> Path:
        return self.folder.final_weights / f"{network.name}.pt"

    def _right(self, network: Network) -> np.ndarray:
        """What a network gets right of the test set: (images,) of bool."""
        from trainers.loop import predict

        data, record = self.plan.dataset, network.record
        # Where the trials ran; but the driver of a cluster may have no accelerator.
        device = "cuda" if self.plan.device == "cuda" and torch.cuda.is_available() else "cpu"
        make = partial(build_model, record.model, data.input_shape, len(data.classes))
        model = make(**{k: v for k, v in split_config(record.config)[1].items() if k != "pretrained"})
        model.load_state_dict(checkpoint.load(self._weights(network)))
        split = data.test.open()
        logits = predict(model.to(device), split.to(device), record.precision)
        return (logits.argmax(1) == split.labels).numpy()


class _Tasks:
    """Networks trained by Ray, as many at once as trials were."""

    def __init__(self, plan: Plan, place: Place) -> None:
        self.plan, self.place = plan, place

    def run(
        self, networks: Sequence[Network], interrupted: threading.Event
    ) -> Iterator[tuple[Network, dict[str, Any]]]:
        """(network, outcome) of each, as they end; of fewer where `interrupted` is set."""
        if not networks:
            return
        data = ray.put(self.plan.dataset.training.joined().to_arrays())
        waiting = deque(networks)
        running: dict[Any, Network] = {}
        resources = self.plan.spec.resources
        train = ray.remote(train_network).options(
            num_cpus=resources.cpus_per_trial, num_gpus=self.plan.gpus_per_trial, max_retries=WORKERS_LOST
        )
        try:
            while (waiting or running) and not interrupted.is_set():
                while waiting and len(running) < self.plan.concurrency:
                    network = waiting.popleft()
                    running[train.remote(data, self._settings(network))] = network
                done, _ = ray.wait(list(running), timeout=LISTEN_S)
                for reference in done:
                    yield running.pop(reference), _outcome(reference)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)

    def _settings(self, network: Network) -> dict[str, Any]:
        plan, record = self.plan, network.record
        return {
            "name": network.name,
            "model": record.model,
            "params": record.config,
            "seed": network.seed,
            "epochs": record.best_epoch,
            "horizon": plan.spec.search.epochs,
            "input_shape": plan.dataset.input_shape,
            "num_classes": len(plan.dataset.classes),
            "checkpoints": self.place,
            "import_from": os.getcwd(),
            "train": {
                "precision": record.precision,
                "device": plan.device,
                "threads": plan.spec.resources.cpus_per_trial,
            },
        }


def train_network(arrays: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """On a worker: trains one network, from its last checkpoint where there is one.

    Returns its weights, epochs, seconds of training, and whether its loss stopped being finite: it is tested all the
    same, because a configuration that breaks with some seeds is as good as it is with all of them.
    """
    from trainers.data import TrainingData, seal
    from trainers.memory import keep_freed_memory

    seal()
    keep_freed_memory()
    data = TrainingData.from_arrays(arrays).to(settings["train"]["device"])
    trainer = _make_trainer(data, settings)
    checkpoints = Checkpoints(settings["checkpoints"])
    state, _ = checkpoints.load(settings["name"])
    train_s, finite = 0.0, True
    if state:
        trainer.load(state["trainer"])
        train_s = state["train_s"]
    while trainer.epoch < settings["epochs"] and finite:
        (result,) = trainer.step()
        train_s += result.train_s
        finite = bool(np.isfinite(result.train_loss))
        if trainer.epoch in rungs(settings["epochs"]):
            with suppress(OSError):  # an insurance only
                checkpoints.save(settings["name"], trainer.epoch, {"trainer": trainer.save(), "train_s": train_s})
    outcome = {"weights": trainer.weights(), "epochs": trainer.epoch, "train_s": train_s, "diverged": not finite}
    trainer.close()
    with suppress(OSError):
        checkpoints.remove(settings["name"])
    return outcome


def _make_trainer(data: Any, settings: dict[str, Any]) -> Any:
    from trainers.single import SingleTrainer

    if settings["import_from"] not in sys.path:
        sys.path.append(settings["import_from"])  # where the driver found a user's own architecture
    train, arch = split_config(settings["params"])
    make = partial(build_model, settings["model"], settings["input_shape"], settings["num_classes"], **arch)
    config = TrainConfig(**settings["train"], **train, epochs=settings["horizon"], seed=settings["seed"])
    return SingleTrainer(make, data, config)


def _outcome(reference: Any) -> dict[str, Any]:
    """What a task returned, or why it returned nothing."""
    try:
        return dict(ray.get(reference))
    except ray.exceptions.RayTaskError as error:
        logger.error("a final failed", exc_info=error)
        cause = error.cause if getattr(error, "cause", None) else error
        return {"error": f"{type(cause).__name__}: {' '.join(str(cause).split())}"[:500]}
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
        return {"error": f"its worker was lost ({type(error).__name__})"}
