from __future__ import annotations

import pickle
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest

from cluster.worker_end import KILLED
from hpo.search import tune_hooks
from hpo.search.tune_hooks import WORKER_START_S, SearchStopper, WorkerCallback, why_it_was_lost
from hpo.trials.messages import REQUEST
from tests.helpers.searching import asked, groups, reports, result, searcher


def test_the_search_ends_on_ctrl_c_a_fault_and_a_deadline_that_nobody_works_towards(study: optuna.Study) -> None:
    interrupted = threading.Event()
    s = searcher(study)
    stopper = SearchStopper(interrupted, s)
    assert not stopper.stop_all() and not stopper("a", {})
    interrupted.set()
    assert stopper.stop_all()
    faulty = searcher(study)
    faulty.end_by(OSError("the disk is full"))
    assert SearchStopper(threading.Event(), faulty).stop_all()
    late = searcher(study, deadline=time.time() - WORKER_START_S - 1)
    late.worker_started("a")
    assert not SearchStopper(threading.Event(), late).stop_all()  # it ends by itself, with its epoch
    late.worker_ended("a")
    assert SearchStopper(threading.Event(), late).stop_all()
    assert pickle.loads(pickle.dumps(stopper)).__dict__ == {}  # Tune pickles it: no storage may be in there


def test_a_group_whose_worker_died_goes_on_with_those_that_are_left(study: optuna.Study) -> None:
    s = groups(study, size=2, wanted=2)
    hook = WorkerCallback(s)
    trial: Any = SimpleNamespace(trial_id="a", num_failures=1, config=s.suggest("a"))
    hook.on_trial_start(0, [], trial)
    s.on_trial_result("a", reports(("running", 1, 0.5), ("stopped", 1, 0.2)))
    hook.on_trial_recover(0, [], trial)
    assert [request.number for request in trial.config[REQUEST].trials] == [0] and not s.is_any_running


def test_a_worker_that_was_lost_for_good_is_a_failed_trial_with_its_reason(
    study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune_hooks, "how_it_ended", lambda name: f"{name}: {KILLED}")
    s = searcher(study)
    asked(s, "a")
    s.on_trial_result("a", result("running", (1, 0.4)))
    (tmp_path / "error.txt").write_text("Failure # 1\nThe actor died unexpectedly before finishing this task.\n")
    trial: Any = SimpleNamespace(trial_id="a", num_failures=3, error_file=tmp_path / "error.txt")
    WorkerCallback(s).on_trial_error(0, [], trial)
    (told,) = s.teller.listener.reports
    assert (told.state, told.retries, told.error) == ("failed", 2, f"cnn-0000: {KILLED}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Failure # 1\nray::Trial.step()\n  File x\nOSError: \x1b[31mno disk\x1b[0m\n", "OSError: no disk"),
        ("Failure # 1\nNo available node for it\nmore\n", "No available node for it"),
    ],
)
def test_the_telling_line_of_tunes_error_file(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "error.txt").write_text(text)
    assert why_it_was_lost(SimpleNamespace(error_file=tmp_path / "error.txt"), "cnn-0000") == words
