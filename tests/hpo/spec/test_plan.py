"""A plan can be looked at: what will run, on what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hpo.session.preflight.planning import preflight
from hpo.spec.plan import Plan, study_name
from tests.helpers.specs import digits


@pytest.fixture(scope="module")
def plan() -> Plan:
    made = preflight(digits(model=["mlp", "lenet5"], trials=5, epochs=3, precision="float32", concurrency=1))
    return replace(made, concurrency=4)


def test_a_plan_reads_as_what_will_run(plan: Plan) -> None:
    models, trials, data, runs_on, *spaces = repr(plan).splitlines()
    assert models == "models:  mlp (109,386 parameters), lenet5 (44,426 parameters)"
    assert trials == "trials:  10 (5 for each of 2), 3 epochs, auto, asha: the best quarter goes on after epoch 2"
    assert data.startswith("data:    digits") and runs_on == "runs on: 4 trials at once, 1 CPU each, float32 on cpu"
    assert spaces[0] == "space of mlp:" and "space of lenet5:" in spaces
    assert any(line.startswith("  lr ") and line.endswith("(first trial: 0.003)") for line in spaces)


def test_the_second_trial_is_shown_with_a_guess() -> None:
    (model,) = preflight(digits(model="mlp", prior=["lr=2e-3", "activation=gelu"])).models
    (line,) = (line for line in model.space_lines() if line.startswith("  trial 1: "))
    assert line.startswith("  trial 1: lr 0.002, dropout 0, ") and ", activation gelu, " in line


def test_notices_come_first_and_nothing_steers_a_terminal(plan: Plan) -> None:
    noticed = replace(plan, notices=("left out: \x1b[2J",))
    assert str(noticed).splitlines()[0] == r"note: left out: \x1b[2J"


def test_precisions_and_groups_are_said_where_they_differ(plan: Plan) -> None:
    mlp, lenet5 = plan.models
    mixed = replace(plan, models=(replace(mlp, precision="bf16"), replace(lenet5, group_size=2)))
    assert mixed.at_once == "3 groups of up to 2 trials" and mixed.parallel_groups == 3
    assert mixed.lines(spaces=False)[-1].endswith("bf16 (mlp), float32 (lenet5) on cpu")
    assert replace(plan, concurrency=1).at_once == "1 trial"


def test_a_plan_does_not_show_a_databases_password(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shared.db?password=hunter2"
    plan = preflight(digits(model="mlp", storage=url), is_dry=True)
    assert plan.storage is None and "hunter2" not in repr(plan)


def test_names_of_studies(plan: Plan) -> None:
    mlp = plan.models[0]
    assert study_name(plan, mlp, "a") == "mlp"
    for study, name in ((None, "a/mlp"), ("both", "both/mlp")):
        search = replace(plan.spec.search, storage="sqlite:///x.db", study=study)
        assert study_name(replace(plan, spec=replace(plan.spec, search=search)), mlp, "a") == name
