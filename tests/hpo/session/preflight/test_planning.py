"""A spec is resolved on this machine: into a plan, or into one line that says what is wrong."""

from __future__ import annotations

import pytest

from hpo.session.preflight.planning import preflight
from tests.helpers.specs import digits as spec


def test_a_plan_resolves_everything() -> None:
    plan = preflight(spec(model=["mlp", "lenet5"], trials=3))
    assert [(m.name, m.parameters) for m in plan.models] == [("mlp", 109_386), ("lenet5", 44_426)]
    assert (plan.device, plan.gpus_per_trial, plan.total_trials) == ("cpu", 0.0, 6)
    assert plan.concurrency == plan.cpus and plan.notices == ()


@pytest.mark.parametrize("sampler", ["gp", "cmaes"])
def test_samplers_without_early_stopping_say_so(sampler: str) -> None:
    (note,) = preflight(spec(sampler=sampler)).notices
    assert note.startswith(f"no early stopping: {sampler} learns from whole trials only")
