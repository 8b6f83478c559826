"""The databases that a run writes to besides its own."""

from __future__ import annotations

from hpo.session.preflight.planning import preflight
from hpo.spec.plan import shared_by_drivers
from tests.helpers.specs import digits as spec


def test_drivers_of_one_study_have_the_same_objectives() -> None:
    plan = preflight(spec(objective=["accuracy", "time"]))
    assert shared_by_drivers(plan, plan.models[0])["objective"] == ["accuracy", "time"]
