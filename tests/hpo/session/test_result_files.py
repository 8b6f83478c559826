"""The files that a session leaves, and those it removes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hpo.session.outcome import Outcome
from hpo.session.preflight.planning import preflight
from hpo.session.result_files import write_results
from hpo.session.study_json import describe
from hpo.spec.plan import Plan
from hpo.store import run_folder as folders
from hpo.store.checkpoint_stores import FolderStorage
from hpo.store.checkpoints import Checkpoints
from hpo.store.journal import Journal
from hpo.store.run_folder import RunFolder
from hpo.store.study_file import RunState
from hpo.trials.ranking import rank
from tests.helpers.records import record
from tests.helpers.specs import digits

CURVE: list[dict[str, Any]] = [{"epoch": 1, "val_accuracy": 0.9, "train_loss": 1.0}]


@pytest.fixture(scope="module")
def plan() -> Plan:
    return preflight(digits(model="mlp_small", trials=2))


@pytest.fixture
def folder(tmp_path: Path, plan: Plan) -> RunFolder:
    made = folders.create(tmp_path, "a", describe(plan))
    for path in (made.tune, made.final_weights):
        path.mkdir()
    return made


def write(state: RunState, folder: RunFolder, plan: Plan) -> Checkpoints:
    records = [
        record(n, trial_id=f"mlp_small-{n:04d}", model="mlp_small", val_accuracy=n / 10, epochs=1, curve=CURVE)
        for n in range(2)
    ]
    journal = Journal(folder.journal)
    for one in records:
        journal.append(one.to_dict())
    journal.close()
    checkpoints = Checkpoints(FolderStorage(folder.checkpoints))
    checkpoints.save("mlp_small-0000", 1, {"best_epoch": 1})
    write_results(rank(records), Outcome(records, state), folder, plan, checkpoints)
    return checkpoints


def test_an_interrupted_run_keeps_what_a_resume_needs(folder: RunFolder, plan: Plan) -> None:
    checkpoints = write(RunState.INTERRUPTED, folder, plan)
    assert list(pd.read_csv(folder.trials_csv)["trial_id"]) == ["mlp_small-0001", "mlp_small-0000"]
    assert len(pd.read_csv(folder.curves_csv)) == 2 and len(pd.read_csv(folder.leaderboard_csv)) == 1
    study = json.loads(folder.study_json.read_text())
    assert (study["state"], study["trials"]) == ("interrupted", {"completed": 2})
    came = [(rung["epochs"], rung["came"], rung["next_epochs"]) for rung in study["models"]["mlp_small"]["rungs"]]
    assert came == [(2, 0, 6), (6, 0, 10)]
    assert checkpoints.newest() == {"mlp_small-0000": 1} and folder.final_weights.exists()
    assert not folder.report_html.exists() and not folder.tune.exists()


def test_a_complete_run_keeps_what_a_reader_needs(folder: RunFolder, plan: Plan) -> None:
    checkpoints = write(RunState.COMPLETE, folder, plan)
    assert "mlp_small-0001" in folder.report_html.read_text(encoding="utf-8")
    assert checkpoints.newest() == {} and not folder.final_weights.exists() and not folder.tune.exists()
