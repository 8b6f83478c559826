"""best.pt and best.json are the winner's, or not there."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hpo import load_network
from hpo.session import winner
from hpo.session.preflight.planning import preflight
from hpo.session.winner import MAX_KEPT_BYTES, write_networks
from hpo.spec.plan import Plan
from hpo.store.checkpoint_stores import FolderStorage
from hpo.store.checkpoints import Checkpoints
from hpo.store.run_folder import RunFolder
from hpo.trials.finalists import Finalist
from hpo.trials.ranking import Ranked, rank
from hpo.trials.records import TrialState
from models import build_model
from tests.helpers.records import record
from tests.helpers.specs import digits
from trainers import checkpoint


@pytest.fixture(scope="module")
def plan() -> Plan:
    return preflight(digits(model="mlp_small", trials=2))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path, -1)
    made.final_weights.mkdir()
    return made


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
    assert write_networks(ranked(), [], folder, plan, checkpoints)
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
    write_networks(ranked(), [], folder, plan, checkpoints)
    before = folder.best_pt.read_bytes()
    checkpoints.storage.clear()
    assert write_networks(ranked(), [], folder, plan, checkpoints) and folder.best_pt.read_bytes() == before


def test_weights_of_an_earlier_epoch_are_not_taken(folder: RunFolder, plan: Plan, checkpoints: Checkpoints) -> None:
    checkpoints.save("mlp_small-0001", 1, {"best_epoch": 1, "best_weights": network().state_dict()})
    assert write_networks(ranked(), [], folder, plan, checkpoints)  # a later session has nothing to add
    assert not folder.best_pt.exists() and not folder.best_json.exists()


@pytest.mark.parametrize("none", [[], ranked(state=TrialState.DIVERGED, val_accuracy=None)])
def test_without_a_usable_trial_nothing_is_written(
    none: list[Ranked], folder: RunFolder, plan: Plan, checkpoints: Checkpoints
) -> None:
    assert write_networks(none, [], folder, plan, checkpoints)
    assert not folder.best_pt.exists()


def finalist() -> Finalist:
    return Finalist(ranked()[0].record, (7, 8), np.ones((2, 5), dtype=bool))


def final_network(folder: RunFolder) -> dict[str, torch.Tensor]:
    """Weights that wait for the end of the run, as the finals leave them."""
    weights = network().state_dict()
    checkpoint.save(folder.final_weights / "mlp_small-0001-seed-7.pt", weights)
    return weights


def same(path: Path, weights: dict[str, torch.Tensor], trial_network: bool = False) -> bool:
    _description, loaded = load_network(path, trial_network=trial_network)
    return all(torch.equal(value, weights[name]) for name, value in loaded.state_dict().items())


def test_a_finalists_network_is_the_winners(folder: RunFolder, plan: Plan, checkpoints: Checkpoints) -> None:
    searched, trained = network().state_dict(), final_network(folder)
    checkpoints.save("mlp_small-0001", 2, {"best_epoch": 2, "best_weights": searched})
    assert write_networks(ranked(), [finalist()], folder, plan, checkpoints)
    assert same(folder.path, trained) and same(folder.path, searched, trial_network=True)
    assert same(folder.path / "finals" / "mlp_small-0001.pt", trained)
    best = json.loads(folder.best_json.read_text())
    assert (best["network"], best["seed"], best["trial"]["trial_id"]) == ("final", 7, "mlp_small-0001")
    # In a later session both are in their files only, and any of them may be damaged.
    checkpoints.storage.clear()
    shutil.rmtree(folder.final_weights)
    for damaged in ("best.pt", "finals/mlp_small-0001.pt", "trial.pt"):
        (folder.path / damaged).write_text("damaged")
        assert write_networks(ranked(), [finalist()], folder, plan, checkpoints) and same(folder.path, trained)
    assert not folder.trial_pt.exists()  # a damaged one that cannot be made again


def test_finals_that_come_later_leave_the_network_of_the_search(
    folder: RunFolder, plan: Plan, checkpoints: Checkpoints
) -> None:
    searched = network().state_dict()
    checkpoints.save("mlp_small-0001", 2, {"best_epoch": 2, "best_weights": searched})
    write_networks(ranked(), [], folder, plan, checkpoints)
    assert same(folder.path, searched) and not folder.trial_pt.exists()
    checkpoints.storage.clear()
    trained = final_network(folder)
    write_networks(ranked(), [finalist()], folder, plan, checkpoints)
    assert same(folder.path, trained) and same(folder.path, searched, trial_network=True)


def test_a_new_winner_takes_both_places(folder: RunFolder, plan: Plan, checkpoints: Checkpoints) -> None:
    trained = final_network(folder)
    checkpoints.save("mlp_small-0001", 2, {"best_epoch": 2, "best_weights": network().state_dict()})
    write_networks(ranked(), [finalist()], folder, plan, checkpoints)
    better = network().state_dict()
    checkpoints.save("mlp_small-0002", 2, {"best_epoch": 2, "best_weights": better})
    first = ranked()[0].record
    second = rank([replace(first, trial_id="mlp_small-0002", val_accuracy=0.95), first])
    write_networks(second, [], folder, plan, checkpoints)
    assert same(folder.path, better) and same(folder.path, better, trial_network=True)
    assert same(folder.path / "finals" / "mlp_small-0001.pt", trained)


def test_of_large_networks_only_the_winners_are_kept(
    folder: RunFolder, plan: Plan, checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_KEPT_BYTES > 10**7
    monkeypatch.setattr(winner, "MAX_KEPT_BYTES", 1000)
    trained = final_network(folder)
    write_networks(ranked(), [finalist()], folder, plan, checkpoints)
    assert same(folder.path, trained) and not folder.finals_networks.exists()
