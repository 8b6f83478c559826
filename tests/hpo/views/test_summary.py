"""What a user reads at the end of a run, from its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.store import finals_file
from hpo.store.journal import Journal
from hpo.store.stored_run import StoredRun
from hpo.trials.finalists import final_seeds
from hpo.views.summary import show_run
from hpo.views.timing import Times
from tests.helpers.pages import a_run
from tests.helpers.records import record

RECORDS = [record(n, val_accuracy=n / 20) for n in range(12)]
TIMES = Times(elapsed_s=60, places=1, training=6, evaluation=0, setup=0, between=0, starting=54, idle=0)


def ended(folder: Path, **changes: Any) -> StoredRun:
    session = {"times": TIMES.to_dict(), "finals_s": 65.0}
    spec = {"model": ["cnn"], "trials": 12, "epochs": 10, "finalists": 2, "final_seeds": 2, "train_size": 500}
    return a_run(folder, RECORDS, **{"sessions": [{}, session], "spec": spec, **changes})


def test_the_end_says_what_came_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ended(tmp_path / "a")
    journal, seeds = Journal(run.path / "finals.jsonl"), final_seeds(0, 2)
    for number in (10, 11):
        answers = [finals_file.Answers(np.arange(9) < 8)] * 2
        journal.append(finals_file.tested_row(RECORDS[number].trial_id, seeds, seeds, answers))
    journal.close()
    show_run(run)
    out = capsys.readouterr().out
    assert out.startswith("The best of 12 trials\n") and "cnn-0011" in out and "cnn-0001" not in out
    assert "\nAll trials: 10 parameters\n" in out
    assert "Finals: trained anew, on validation images too, with 2 seeds, and tested once\n" in out
    assert "\n= not significantly different from rank 1\n" in out
    assert "time:    1m00s with 1 trial at once: " in out and "; 1m05s of finals\n" in out and "\nHint: start" in out
    assert f"results: {run.path}/trials.csv, leaderboard.csv and curves.csv beside it\n" in out
    assert f"report:  hpo report {run.path} makes it\n" in out
    assert f"weights: not kept, {run.path}/logs/hpo.log says why\n" in out and "hpo train --from" not in out


def test_an_interrupted_run_has_no_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_run(ended(tmp_path / "a", state="interrupted"))
    assert "time: " not in capsys.readouterr().out


def test_groups_of_fused_trials_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_run(ended(tmp_path / "a", resources={"group_size": {"cnn": 4}}))
    assert "with 1 group of up to 4 trials at once: " in capsys.readouterr().out


def test_a_rung_that_predicts_badly_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    falling = {2: 0.3, 6: -0.5, 10: -0.7}
    curves = [[{"epoch": e, "val_accuracy": 0.5 + n * by / 100} for e, by in falling.items()] for n in range(10)]
    records = [record(n, val_accuracy=0.5, curve=curve) for n, curve in enumerate(curves)]
    spec = {"model": ["cnn"], "trials": 10, "epochs": 12}
    show_run(a_run(tmp_path / "a", records, spec=spec, early_stopping={"scheduler": "asha", "rungs": [2, 6, 10]}))
    assert "\nHint: the accuracy of cnn after 2 epochs says little about that after 6 " in capsys.readouterr().out
