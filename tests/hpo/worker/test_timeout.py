"""The end of trials that take too long."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from hpo.store.checkpoint_stores import FolderStorage
from hpo.store.checkpoints import Checkpoints
from hpo.trials.messages import TrialRequest
from hpo.worker import timeout
from hpo.worker.running_trial import RunningTrial
from hpo.worker.timeout import EXIT_HUNG, Timeout
from tests.helpers.workers import ask, settings


def limit(folder: Path, seconds: float | None, asked: TrialRequest) -> Timeout:
    trial = RunningTrial(settings(folder), asked, time.perf_counter())
    return Timeout(seconds, [trial], Checkpoints(FolderStorage(folder)))


def test_without_a_limit_nothing_ends_and_no_timer_runs(tmp_path: Path) -> None:
    unlimited = limit(tmp_path, None, ask())
    before = threading.active_count()
    with unlimited:
        assert threading.active_count() == before
    unlimited.check()


def test_only_the_time_at_work_counts(tmp_path: Path) -> None:
    limited = limit(tmp_path, 0.2, ask())
    time.sleep(0.3)
    limited.check()
    with limited:
        time.sleep(0.25)
    with pytest.raises(TimeoutError, match=r"longer than --trial-timeout allows \(0\.2 s\)"):
        limited.check()


def test_one_that_hangs_leaves_a_mark_and_ends_its_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes, ended = [], threading.Event()

    def leave(code: int) -> None:
        codes.append(code)
        ended.set()

    monkeypatch.setattr(timeout, "leave", leave)
    monkeypatch.setattr(timeout, "HANG_GRACE_S", 0.0)
    asked = ask()
    with limit(tmp_path, 0.05, asked):
        assert ended.wait(10)
    assert codes == [EXIT_HUNG]
    with pytest.raises(TimeoutError):
        limit(tmp_path, 60.0, asked).check()
    limit(tmp_path, 60.0, ask()).check()  # asked for anew, it has its whole time
