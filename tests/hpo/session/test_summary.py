"""What a user reads before and after a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpo.session.outcome import Outcome
from hpo.session.preflight.planning import preflight
from hpo.session.summary import show_plan, show_results
from hpo.spec.plan import Plan
from hpo.store.run_folder import RunFolder
from hpo.store.study_file import RunState
from hpo.trials.finalists import Finalist
from hpo.trials.ranking import rank
from hpo.views.timing import Times
from tests.helpers.records import record
from tests.helpers.specs import digits

RECORDS = [record(n, val_accuracy=n / 20) for n in range(12)]


@pytest.fixture(scope="module")
def plan() -> Plan:
    return preflight(digits(model="mlp_small", trials=12, train_size=500))


def quiet(plan: Plan) -> Plan:
    return replace(plan, spec=replace(plan.spec, output=replace(plan.spec.output, quiet=True)))


def test_the_banner_is_the_plan_without_its_spaces(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    show_plan(plan)
    banner = capsys.readouterr().out
    assert banner.startswith("models:  mlp_small (45,846 parameters)\ntrials:  12, ") and "space of" not in banner
    show_plan(plan, spaces=True)
    assert capsys.readouterr().out == f"{plan}\n"
    show_plan(quiet(plan), spaces=True)
    assert capsys.readouterr().out == ""


def test_the_end_says_what_came_of_it(plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times = Times(
        elapsed_s=60, places=1, training=6, evaluation=0, setup=0, between=0, starting=54, idle=0
    )  # fmt: skip
    finalist = Finalist(RECORDS[11], (1, 2), np.ones((2, 9), dtype=bool))
    outcome = Outcome(RECORDS, RunState.COMPLETE, times=times, finalists=[finalist], finals_s=65.0)
    show_results(rank(RECORDS), RunFolder(tmp_path, -1), plan, outcome)
    out = capsys.readouterr().out
    assert out.startswith("The best of 12 trials\n") and "cnn-0011" in out and "cnn-0001" not in out
    assert "\nAll trials: 10 parameters\n" in out
    assert "Finals: trained anew, on validation images too, with 2 seeds, and tested once\n" in out
    assert "time:    1m00s with " in out and "; 1m05s of finals\n" in out and "\nHint: " in out
    assert f"results: {tmp_path}/trials.csv, leaderboard.csv and curves.csv beside it\n" in out
    assert f"report:  hpo report {tmp_path} makes it\n" in out
    assert f"weights: not kept, {tmp_path}/logs/hpo.log says why\n" in out and "hpo train --from" not in out


def test_a_rung_that_predicts_badly_is_said(plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    falling = {2: 0.3, 6: -0.5, 10: -0.7}
    curves = [[{"epoch": e, "val_accuracy": 0.5 + n * by / 100} for e, by in falling.items()] for n in range(10)]
    records = [record(n, val_accuracy=0.5, curve=curve) for n, curve in enumerate(curves)]
    show_results(rank(records), RunFolder(tmp_path, -1), plan, Outcome(records, RunState.COMPLETE))
    assert "\nHint: the accuracy of cnn after 2 epochs says little about that after 6 " in capsys.readouterr().out


@pytest.mark.parametrize("records", [RECORDS, []])
def test_a_quiet_run_says_where_the_results_are(
    records: list[object], plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ranked = rank(RECORDS) if records else []
    show_results(ranked, RunFolder(tmp_path, -1), quiet(plan), Outcome([], RunState.COMPLETE))
    assert capsys.readouterr().out == f"{tmp_path}/trials.csv\n"
