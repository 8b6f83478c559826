"""A run that is resumed is locked, and has no more trials than are asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpo.session.lock import locked
from hpo.spec.study import StudySpec
from hpo.store import run_folder as folders
from hpo.system.errors import UserError
from tests.helpers.records import record
from tests.helpers.specs import digits


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two finished trials in a run called a."""
    made = folders.create(tmp_path, "a", {"spec": {}})
    made.unlock()
    rows = [record(n, val_accuracy=0.9).to_dict() for n in range(2)]
    made.journal.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return tmp_path


def spec(results: Path, trials: int = 2, **settings: str) -> StudySpec:
    return digits(resume="a", model="cnn", trials=trials, results_dir=results, **settings)


def test_a_run_that_is_resumed_belongs_to_one_driver(results: Path) -> None:
    with locked(spec(results)) as folder:
        assert folder and folder.path == results / "a"
        with pytest.raises(UserError, match="--resume a: another driver is using"), locked(spec(results)):
            pass
    with locked(spec(results)):  # it is free again
        pass


def test_fewer_trials_than_are_finished_are_refused(results: Path) -> None:
    with pytest.raises(UserError, match=r"^--trials 1: 2 are finished already$"), locked(spec(results, trials=1)):
        pass
    with locked(spec(results)):  # what is refused is not left locked
        pass


def test_a_new_run_has_no_folder_yet_and_needs_a_free_name(results: Path) -> None:
    with locked(digits(results_dir=results, name="b")) as folder:
        assert folder is None and not (results / "b").exists()
    with pytest.raises(UserError, match=r"--name a: .* already exists"):
        locked(digits(results_dir=results, name="a")).__enter__()
