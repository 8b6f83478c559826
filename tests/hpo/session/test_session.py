"""A session from its folder to its last file, without a trial."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpo.session.preflight.planning import preflight
from hpo.session.session import open_session
from hpo.spec.plan import Plan
from hpo.store import run_folder as folders
from hpo.store.journal import Journal
from hpo.store.study_file import RunState
from hpo.system.errors import UserError
from hpo.trials.ranking import rank
from tests.helpers.records import record
from tests.helpers.specs import digits


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return preflight(digits(model="mlp_small", trials=1, finalists=0, results_dir=tmp_path, name="a", quiet=True))


def state(tmp_path: Path) -> str:
    return str(json.loads((tmp_path / "a" / "study.json").read_text())["state"])


def test_a_session_makes_its_folder_and_locks_it(plan: Plan, tmp_path: Path) -> None:
    with open_session(plan, None) as session:
        assert session.folder.path == tmp_path / "a" and state(tmp_path) == "running"
        with pytest.raises(UserError, match="another driver is using"):
            folders.reopen(tmp_path, "a")
    folders.reopen(tmp_path, "a").unlock()


@pytest.mark.parametrize(
    ("error", "raised", "said", "ended"),
    [
        (ValueError("ours"), ValueError, "^ours$", "failed"),
        (UserError("--x: no mistake any more"), RuntimeError, "a check failed in a run that had begun", "failed"),
        (KeyboardInterrupt(), KeyboardInterrupt, "^$", "interrupted"),
    ],
)
def test_an_error_in_a_session_is_kept_and_no_mistake_of_the_users(
    error: BaseException, raised: type[BaseException], said: str, ended: str, plan: Plan, tmp_path: Path
) -> None:
    with pytest.raises(raised, match=said) as caught, open_session(plan, None):
        raise error
    assert not isinstance(caught.value, UserError) and error in (caught.value, caught.value.__cause__)
    log = (tmp_path / "a" / "logs" / "hpo.log").read_text()
    assert "Traceback" in log and type(error).__name__ in log and state(tmp_path) == ended
    folders.reopen(tmp_path, "a").unlock()  # it is not left locked


def test_a_run_that_cannot_be_mended_keeps_its_study_json(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of ours"), open_session(plan, None):
        raise ValueError("of ours")
    before = (tmp_path / "a" / "study.json").read_bytes()
    (tmp_path / "a" / "trials.jsonl").unlink(missing_ok=True)
    (tmp_path / "a" / "trials.jsonl").mkdir()
    folder = folders.reopen(tmp_path, "a")
    with pytest.raises(UserError, match="cannot be mended"), open_session(plan, folder):
        pass
    assert (tmp_path / "a" / "study.json").read_bytes() == before and state(tmp_path) == "failed"
    folder.unlock()


def test_a_resumed_run_has_one_more_session(plan: Plan, tmp_path: Path) -> None:
    with open_session(plan, None):
        pass
    folder = folders.reopen(tmp_path, "a")
    with open_session(plan, folder):
        assert state(tmp_path) == "running" and len(folder.read_study()["sessions"]) == 2
    folder.unlock()


def test_a_run_that_misses_nothing_starts_no_ray(plan: Plan, tmp_path: Path) -> None:
    done = record(0, trial_id="mlp_small-0000", model="mlp_small", val_accuracy=0.9, best_epoch=1)
    with open_session(plan, None) as session:
        journal = Journal(session.folder.journal)
        journal.append(done.to_dict())
        journal.close()
        outcome = session.run()
    assert (outcome.records, outcome.state, list(outcome.finalists)) == ([done], RunState.COMPLETE, [])


def test_a_file_that_the_disk_does_not_take_is_a_failed_run(plan: Plan, tmp_path: Path) -> None:
    with open_session(plan, None) as session:
        (session.folder.trials_csv).unlink()
        (session.folder.trials_csv).mkdir()  # no file can replace it
        (session.folder.trials_csv / "in the way").touch()
        outcome = session.judge.outcome([record(0, val_accuracy=0.9)])
        written = session.write(rank(outcome.records), outcome)
    assert written.state is RunState.FAILED and written.records == outcome.records
    assert "Is a directory; when that is mended, go on with: python hpo/run.py --resume a" in written.error
