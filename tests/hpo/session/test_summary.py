"""What a user reads before and after a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hpo.session.preflight.planning import preflight
from hpo.session.summary import show_plan, show_results
from hpo.spec.plan import Plan
from hpo.store.run_folder import RunFolder
from hpo.trials.ranking import rank
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


@pytest.mark.parametrize("records", [RECORDS, []])
def test_a_quiet_run_says_where_the_results_are(
    records: list[object], plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ranked = rank(RECORDS) if records else []
    show_results(ranked, RunFolder(tmp_path, -1), quiet(plan))
    assert capsys.readouterr().out == f"{tmp_path}/trials.csv\n"
