from __future__ import annotations

import time
from io import StringIO

import pytest
from rich.console import Console

from hpo.trials.records import TrialState
from hpo.views.estimate import Work
from hpo.views.progress import LineProgress, LiveProgress, Progress, make_progress
from tests.helpers.progress import finished_trial
from tests.helpers.reports import report, request


def test_one_line_per_finished_trial(capsys: pytest.CaptureFixture[str]) -> None:
    progress = LineProgress(Work(5, 10), [finished_trial(0)])
    progress.started(request("cnn-0001"))
    progress.reported(request("cnn-0001"), report("running", epochs=1, val_accuracy=0.5))
    assert capsys.readouterr().out == ""
    progress.finished(finished_trial(1))
    progress.finished(finished_trial(2, TrialState.FAILED, val_accuracy=None, error="OSError: disk full"))
    progress.finished(finished_trial(3))
    first, second, third, _ = capsys.readouterr().out.splitlines()
    assert first == "[2/5] cnn-0001 completed: 0.9100, 3 epochs, 1.2 s, best 0.9100"  # the pace is not known yet
    assert "[3/5] cnn-0002 failed: OSError: disk full" in second
    assert third.startswith("[4/5] cnn-0003 completed: 0.9300, ") and third.endswith(" left")


def test_a_log_hears_of_the_running_trials_where_nothing_ends_for_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.views.progress.SILENT_S", 0.05)
    with LineProgress(Work(4, 10)) as progress:
        progress.started(request("cnn-0001"))
        progress.started(request("cnn-0000"))
        progress.reported(request("cnn-0001"), report("running", epochs=3, val_accuracy=0.5))
        time.sleep(0.3)
    told = capsys.readouterr().out.splitlines()
    assert 1 <= len(told) <= 6 and set(told) == {"[0/4] running: cnn-0000 epoch 0/10, cnn-0001 epoch 3/10; 0s"}
    time.sleep(0.15)
    assert capsys.readouterr().out == ""  # the search is over


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        (0, "Estimate after 3 trials: the whole run takes about 1m04s."),
        (2, "Estimate after 3 trials: the rest takes about 42s."),
    ],
)
def test_after_the_first_trials_it_says_how_long_the_run_will_take(
    earlier: int, expected: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("hpo.views.progress.time.monotonic", lambda: now)
    progress = LineProgress(Work(10 + earlier, 3), [finished_trial(20 + number) for number in range(earlier)])
    now = 104.0  # Ray has started
    progress.started(request("cnn-0000"))
    del progress.running["cnn-0000"]
    for number in range(4):
        now += 6.0
        progress.finished(finished_trial(number))
    # 4 s of starting, 18 s for three trials, seven to go at the same pace.
    assert [line for line in capsys.readouterr().out.splitlines() if "Estimate" in line] == [expected]
    assert progress.eta_s() == 36.0 and progress.started_s == 4.0


def test_trials_that_run_count_by_their_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("hpo.views.progress.time.monotonic", lambda: now)
    progress = LineProgress(Work(80, 10, budget_s=400.0))
    for number in range(8):  # at once, of 60 s each
        progress.started(request(f"cnn-{number:04d}"))
    now = 160.0
    for number in range(8):
        progress.reported(request(f"cnn-{number:04d}"), report("running", epochs=10, val_accuracy=0.5))
    for number in range(3):
        progress.finished(finished_trial(number, epochs=10))
    assert progress.eta_s() == pytest.approx(340.0)  # the budget: nine more rounds would take 540 s
    progress.work = Work(80, 10, budget_s=1000.0)
    assert progress.eta_s() == pytest.approx(540.0)


def test_paused_trials_are_lines_and_count_by_their_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    progress = LineProgress(Work(3, 4, rungs=(1,)))
    for number, state in ((0, "running"), (1, "paused"), (2, "paused")):
        progress.started(request(f"cnn-{number:04d}"))
        progress.reported(request(f"cnn-{number:04d}"), report(state, epochs=1, val_accuracy=0.5))
    assert capsys.readouterr().out.splitlines() == [
        "[0/3] cnn-0001 paused: 0.5000, 1 epoch",
        "[0/3] cnn-0002 paused: 0.5000, 1 epoch",
    ]
    assert list(progress.running) == ["cnn-0000"] and list(progress.paused) == ["cnn-0001", "cnn-0002"]
    assert progress.share_done() == 3 / 5.25
    progress.started(request("cnn-0002"))
    progress.finished(finished_trial(1, epochs=1))
    assert sorted(progress.running) == ["cnn-0000", "cnn-0002"] and not progress.paused
    assert progress.share_done() == 3 / 5.25


def test_the_live_display_shows_counts_best_and_running_trials() -> None:
    progress = LiveProgress(Work(5, 10), [], Console(file=StringIO()))
    progress.started(request("cnn-0003", params={"lr": 0.01, "optimizer": "sgd"}))
    begins = Console(file=StringIO(), width=100)
    begins.print(progress._render())
    assert "  starting workers, 0 completed" in begins.file.getvalue()  # type: ignore[attr-defined]
    progress.started(request("cnn-0004", params={"lr": 0.1, "optimizer": "sgd"}))
    progress.reported(request("cnn-0003"), report("running", (2, 0.7), best=0.75, epochs=2, train_s=2.5, eval_s=0.5))
    for number, state in ((0, TrialState.STOPPED), (1, TrialState.COMPLETED), (2, TrialState.STOPPED)):
        progress.finished(finished_trial(number, state))
    out = Console(file=StringIO(), width=100)
    out.print(progress._render())
    shown = out.file.getvalue()  # type: ignore[attr-defined]
    assert "3/5 trials" in shown and "left" in shown
    assert "2 running, 1 completed, 2 stopped; best 0.9200 (cnn-0002)" in shown
    first, second = shown.splitlines()[2:]
    assert first.split() == [
        "cnn-0003",
        "epoch",
        "2/10",
        "last",
        "0.7000",
        "best",
        "0.7500",
        "1.5",
        "s/epoch",
        "lr=0.01",
    ]
    assert second.split() == ["cnn-0004", "epoch", "0/10", "lr=0.1"]


def test_failed_and_diverged_trials_are_never_the_best() -> None:
    progress = Progress(
        Work(3, 10), [finished_trial(9, TrialState.DIVERGED), finished_trial(8, TrialState.FAILED), finished_trial(1)]
    )
    assert progress.best and progress.best.trial_id == "cnn-0001"


def test_the_display_fits_where_it_is_shown() -> None:
    assert type(make_progress(Work(1, 1), [], quiet=True)) is Progress
    assert type(make_progress(Work(1, 1), [], quiet=False)) is LineProgress  # the tests' output is no terminal
