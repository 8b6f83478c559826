"""What a program gets of a run."""

from __future__ import annotations

import base64
import fcntl
import io
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from hpo.session.outcome import Outcome
from hpo.session.result import StudyResult, load_run
from hpo.store.study_file import RunState
from hpo.system.errors import UserError
from hpo.trials.ranking import rank
from hpo.trials.records import TrialState
from tests.helpers.pages import a_run
from tests.helpers.records import record


def test_the_best_is_the_first_ranks_configuration() -> None:
    records = [record(n, val_accuracy=n / 10, config={"lr": n / 100}) for n in range(3)]
    outcome = Outcome(records, RunState.COMPLETE)
    result = StudyResult.of(rank(records), outcome, Path("results/a"))
    assert result.best == {"lr": 0.02} and result.folder == Path("results/a")
    assert list(result.frame["trial_id"]) == ["cnn-0002", "cnn-0001", "cnn-0000"] and len(result.leaderboard) == 1


def test_a_run_without_a_usable_trial_has_no_best() -> None:
    records = [record(0, state=TrialState.FAILED, config={"lr": 0.1})]
    assert StudyResult.of(rank(records), Outcome(records, RunState.FAILED), Path()).best is None
    assert StudyResult.of([], Outcome([], RunState.INTERRUPTED), Path()).best is None


@pytest.mark.parametrize(
    ("state", "code"),
    [(RunState.COMPLETE, 0), (RunState.OUT_OF_TIME, 0), (RunState.FAILED, 1), (RunState.INTERRUPTED, 130)],
)
def test_the_exit_code_tells_how_it_ended(state: RunState, code: int) -> None:
    assert StudyResult.of([], Outcome([], state), Path()).exit_code == code


def test_it_shows_itself_as_a_short_table(tmp_path: Path) -> None:
    records = [record(n, val_accuracy=n / 10, config={"lr": n / 100, "activation": "relu"}) for n in range(7)]
    result = StudyResult.of(rank(records), Outcome(records, RunState.COMPLETE), tmp_path / "a")
    lines = repr(result).splitlines()
    assert lines[0] == f"{tmp_path / 'a'}: complete, 7 finished trials, best first: 5" and len(lines) == 7
    assert "lr" in lines[1] and "activation" not in lines[1] and lines[2].split()[:2] == ["1", "cnn-0006"]
    html = result._repr_html_()
    assert "<td>cnn-0006</td>" in html and "cnn-0001" not in html
    assert Image.open(io.BytesIO(base64.b64decode(html.split("base64,")[1].split('"')[0]))).format == "PNG"


def test_one_that_is_not_complete_says_how_python_goes_on() -> None:
    ended = StudyResult.of([], Outcome([], RunState.INTERRUPTED), Path("results/a"))
    assert ended.how_to_go_on == "run_study(StudySpec.of(resume='a'))"
    assert repr(ended).splitlines()[1:] == ["no finished trial", f"to go on: {ended.how_to_go_on}"]
    assert "resume=&#x27;a&#x27;" in ended._repr_html_() and "no finished trial" in ended._repr_html_()
    elsewhere = StudyResult.of([], Outcome([], RunState.OUT_OF_TIME), Path("/data/a"))
    assert elsewhere.how_to_go_on == "run_study(StudySpec.of(resume='a', results_dir='/data'))"
    assert StudyResult.of([], Outcome([], RunState.COMPLETE), Path("a")).how_to_go_on == ""


def test_code_of_ones_own_is_named_to_go_on(tmp_path: Path) -> None:
    spec = {"model": ["net.py:Net", "cnn"], "trials": 9, "metric": "mine.py:good"}
    run = a_run(tmp_path / "a", [], spec=spec, state="interrupted")
    names = "model=['net.py:Net', 'cnn'], metric='mine.py:good'"
    assert f"results_dir={str(tmp_path)!r}, {names}))" in load_run(run.path).how_to_go_on


def test_a_run_at_work_is_not_to_go_on(tmp_path: Path) -> None:
    run = a_run(tmp_path / "a", [], state="running")
    assert load_run(run.path).state is RunState.INTERRUPTED  # its driver is gone
    with (run.path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = load_run(run.path)
    assert result.state is RunState.RUNNING and result.how_to_go_on == ""


def test_an_earlier_run_is_loaded(tmp_path: Path) -> None:
    records = [record(n, val_accuracy=n / 10, config={"lr": n / 100}) for n in range(3)]
    run = a_run(tmp_path / "a", records)
    result = load_run(tmp_path / "a")
    made = StudyResult.of(rank(records), Outcome(records, RunState.COMPLETE), run.path)
    pd.testing.assert_frame_equal(result.frame, made.frame)
    pd.testing.assert_frame_equal(result.leaderboard, made.leaderboard)
    assert (result.best, result.state, result.folder) == ({"lr": 0.02}, RunState.COMPLETE, tmp_path / "a")
    with pytest.raises(UserError, match="not a run folder"):
        load_run("none")
