"""best.pt and best.json are the winner's, or not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo import load_network
from hpo.session.preflight.planning import preflight
from hpo.session.winner import write_winner
from hpo.spec.plan import Plan
from hpo.store.checkpoint_stores import FolderStorage
from hpo.store.checkpoints import Checkpoints
from hpo.store.run_folder import RunFolder
from hpo.trials.ranking import Ranked, rank
from hpo.trials.records import TrialState
from models import build_model
from tests.helpers.records import record
from tests.helpers.specs import digits


@pytest.fixture(scope="module")
def plan() -> Plan:
    return preflight(digits(model="mlp_small", trials=2))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path, -1)


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(FolderStorage(tmp_path / "checkpoints"))


def network() -> torch.nn.Module:
    return build_model("mlp_small", (1, 28, 28), 10, activation="gelu")


def ranked(**values: Any) -> list[Ranked]:
    usual = {"model": "mlp_small", "val_accuracy": 0.9, "best_epoch": 2, "config": {"activation": "gelu", "lr": 0.1}}
    return rank([record(1, trial_id="mlp_small-0001", **{**usual, **values})])


def test_the_winners_network_can_be_loaded(folder: RunFolder, plan: Plan, checkpoints: Checkpoints) -> None:
    weights = network().state_dict()
    checkpoints.save("mlp_small-0001", 2, {"best_epoch": 2, "best_weights": weights})
    assert write_winner(ranked(), folder, plan, checkpoints)
    description, loaded = load_network(folder.path)
    assert (description.model, description.arch, description.trial_id) == (
        "mlp_small",
        {"activation": "gelu"},
        "mlp_small-0001",
    )
    assert all(torch.equal(value, weights[name]) for name, value in loaded.state_dict().items())
    assert json.loads(folder.best_json.read_text())["trial"]["config"]["lr"] == 0.1


def test_a_winner_that_still_leads_keeps_its_file(folder: RunFolder, plan: Plan, checkpoints: Checkpoints) -> None:
    checkpoints.save("mlp_small-0001", 2, {"best_epoch": 2, "best_weights": network().state_dict()})
    write_winner(ranked(), folder, plan, checkpoints)
    before = folder.best_pt.read_bytes()
    checkpoints.storage.clear()
    assert write_winner(ranked(), folder, plan, checkpoints) and folder.best_pt.read_bytes() == before


def test_weights_of_an_earlier_epoch_are_not_taken(folder: RunFolder, plan: Plan, checkpoints: Checkpoints) -> None:
    checkpoints.save("mlp_small-0001", 1, {"best_epoch": 1, "best_weights": network().state_dict()})
    assert write_winner(ranked(), folder, plan, checkpoints)  # a later session has nothing to add
    assert not folder.best_pt.exists() and not folder.best_json.exists()


@pytest.mark.parametrize("none", [[], ranked(state=TrialState.DIVERGED, val_accuracy=None)])
def test_without_a_usable_trial_nothing_is_written(
    none: list[Ranked], folder: RunFolder, plan: Plan, checkpoints: Checkpoints
) -> None:
    assert write_winner(none, folder, plan, checkpoints)
    assert not folder.best_pt.exists()
