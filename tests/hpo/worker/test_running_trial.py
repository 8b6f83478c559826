"""What a trial has come to on its worker."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.trials.messages import TrialRequest
from hpo.trials.records import TrialState
from hpo.worker.running_trial import RunningTrial, check
from tests.helpers.reports import epoch
from tests.helpers.workers import ask, settings
from trainers import checkpoint


def trial(folder: Path, asked: TrialRequest | None = None, state: Any = None) -> RunningTrial:
    return RunningTrial(settings(folder), asked or ask(), time.perf_counter(), state)


def train(running: RunningTrial, *values: float) -> None:
    for value in values:
        running.add_epoch(epoch(running.epochs + 1, value), lambda: {"w": value})  # noqa: B023 - called at once


def test_a_report_has_the_new_epochs_and_the_best_of_all(tmp_path: Path) -> None:
    running = trial(tmp_path)
    train(running, 0.5, 0.9)
    first = running.report()
    train(running, 0.7)
    second = running.report()
    assert (first.state, first.values) == ("running", [(1, 0.5), (2, 0.9)])
    assert (second.values, second.epochs, second.best_epoch, second.val_accuracy) == ([(3, 0.7)], 3, 2, 0.9)
    assert running.score == 0.7 and not running.is_over


def test_the_first_end_counts_and_its_report_is_given_again(tmp_path: Path) -> None:
    running = trial(tmp_path)
    train(running, 0.5)
    running.end(TrialState.STOPPED)
    last = running.report()
    running.end(TrialState.FAILED, "OSError: too late", "Traceback")
    running.add_time(3.0)
    assert running.is_over and running.report() is last
    assert (last.state, last.error, last.traceback, last.share_s) == ("stopped", "", "", 0.0)


def test_what_is_not_finite_diverges(tmp_path: Path) -> None:
    running = trial(tmp_path)
    train(running, 0.5)
    assert not running.has_diverged
    train(running, math.nan)
    assert running.has_diverged and running.report().best_epoch == 1


def test_a_warning_is_given_once(tmp_path: Path) -> None:
    running = trial(tmp_path)
    running.begins(70, "one")
    running.warn("two")
    running.warn("one")
    assert (running.report().warning, running.report().parameters) == ("one; two", 70)


def test_another_worker_goes_on_with_what_was_saved(tmp_path: Path) -> None:
    asked = ask()
    running = trial(tmp_path, asked)
    train(running, 0.5, 0.4)
    running.save({"epoch": 2})
    state = checkpoint.load(tmp_path / "mlp-0000@000002.pt")
    check(state)
    again = trial(tmp_path, asked, state).report()
    assert (again.values, again.best_epoch, again.before) == ([(1, 0.5), (2, 0.4)], 1, {})
    resumed = trial(tmp_path, replace(asked, asked_at=asked.asked_at + 9), state).report()
    assert resumed.before["train_s"] == 2.0 and resumed.before["queue_s"] == resumed.queue_s == state["queue_s"]


def test_a_state_whose_epochs_do_not_agree_is_refused(tmp_path: Path) -> None:
    running = trial(tmp_path)
    train(running, 0.5)
    running.save({"epoch": 3})
    with pytest.raises(ValueError, match="1 epochs reported, 3 trained"):
        check(checkpoint.load(tmp_path / "mlp-0000@000001.pt"))
