"""How the networks of the finals share what the trials had."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from hpo import StudySpec, plan_study
from hpo.session import final_tasks
from hpo.session.final_tasks import FinalTasks, Network, networks_at_once
from hpo.store.checkpoint_stores import FolderStorage
from hpo.trials.messages import FinalOutcome, FinalRequest
from tests.helpers.records import record


@pytest.mark.parametrize(
    ("networks", "slots", "at_once"),
    [
        (3, 2, 3),  # not two rounds, of which the second one has one network
        (5, 2, 3),
        (4, 2, 2),
        (3, 4, 3),
        (3, 1, 1),
        (5, 4, 5),
        (7, 4, 4),  # memory for seven would be too much
        (33, 16, 17),
    ],
)
def test_a_last_round_of_few_networks_is_shared_out(networks: int, slots: int, at_once: int) -> None:
    assert networks_at_once(networks, slots) == at_once


@pytest.mark.slow
@pytest.mark.usefixtures("ray_local")
def test_three_networks_train_at_once_on_two_cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def meets_all(data: Any, settings: Any, request: FinalRequest) -> FinalOutcome:
        (tmp_path / request.name).touch()
        until = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 3:
            if time.monotonic() > until:
                raise TimeoutError("the others did not come")
            time.sleep(0.05)
        return FinalOutcome(epochs=request.epochs)

    monkeypatch.setattr(final_tasks, "train_network", meets_all)
    plan = plan_study(StudySpec.of(model="mlp_small", dataset="digits", train_size=100, epochs=3, concurrency=2))
    best = record(1, trial_id="mlp_small-0001", model="mlp_small", config={"activation": "relu"}, val_accuracy=0.9)
    networks = [Network(best, seed) for seed in (7, 8, 9)]
    ended = list(FinalTasks(plan, FolderStorage(tmp_path)).run(networks, threading.Event()))
    assert sorted((network.seed, outcome.error) for network, outcome in ended) == [(7, ""), (8, ""), (9, "")]
