"""study.json says what was run, and how it ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.session.preflight.planning import preflight
from hpo.session.study_json import describe, ended, resumed, with_rungs
from hpo.store.study_file import RunState
from hpo.trials.rung_report import RungReport
from tests.helpers.specs import digits as spec


def test_study_json_tells_what_was_run(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    study = describe(preflight(spec(model="mlp", storage=url)))
    assert study["data"]["name"] == "digits" and len(study["data"]["hashes"]) == 3
    assert study["data"]["sizes"] == {"train": 1150, "validation": 288, "test": 359}
    assert {"torch", "ray", "optuna", "python"} <= set(study["versions"])
    assert study["models"]["mlp"]["parameters"] == 109_386
    assert study["early_stopping"] == {"scheduler": "asha", "rungs": [2, 6]}
    assert study["spec"]["storage"] == url


def test_a_resumed_run_may_change_how_but_not_what() -> None:
    stored = ended(describe(preflight(spec(model="mlp", trials=3))), RunState.INTERRUPTED, {})
    plan = preflight(spec(model="mlp", trials=9, concurrency=1, resume="x"), stored)
    study = resumed(stored, plan)
    assert study["spec"]["trials"] == 9 and len(study["sessions"]) == 2
    assert "outcome" in study["sessions"][0] and study["state"] == "running"


def test_what_early_stopping_decided_stands_under_its_architecture() -> None:
    study = describe(preflight(spec(model=["mlp", "lenet5"])))
    rung = RungReport("mlp", 2, 9, 3, 6, 3, None)
    changed = with_rungs(study, [rung])
    assert changed["models"]["mlp"] == {**study["models"]["mlp"], "rungs": [rung.to_dict()]}
    assert changed["models"]["lenet5"]["rungs"] == []


def test_a_run_that_is_resumed_has_the_rungs_of_this_version() -> None:
    stored = ended(describe(preflight(spec(model="mlp"))), RunState.INTERRUPTED, {})
    stored["early_stopping"]["rungs"] = [1, 3]
    assert resumed(stored, preflight(spec(model="mlp", resume="x"), stored))["early_stopping"]["rungs"] == [2, 6]


def test_a_password_is_neither_kept_nor_shown(tmp_path: Path) -> None:
    uri = "http://user:secret@127.0.0.1:9"
    with pytest.raises(ValueError, match=r"--mlflow http://user:\*\*\*@127.0.0.1:9: cannot be used") as caught:
        preflight(spec(mlflow=uri))
    assert "secret" not in str(caught.value)
    stored = describe(preflight(spec(mlflow=uri), is_dry=True))
    assert stored["spec"]["mlflow"] == "http://user:***@127.0.0.1:9"
    with pytest.raises(ValueError, match="--resume x: give --mlflow again, its password is not kept"):
        preflight(spec(mlflow=stored["spec"]["mlflow"], resume="x"), stored)
