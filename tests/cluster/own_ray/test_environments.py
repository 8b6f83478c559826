"""Runtime environments of tasks on a Ray of our own, which has no agent of Ray's for them."""

from __future__ import annotations

import os

import pytest
import ray
from ray.exceptions import RuntimeEnvSetupError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_local")]


def test_a_task_has_the_variables_that_it_asks_for() -> None:
    asks = ray.remote(_variable).options(runtime_env={"env_vars": {"PODIUM_TEST": "given"}})
    assert ray.get(asks.remote(), timeout=60) == "given"
    assert ray.get(ray.remote(_variable).remote(), timeout=60) == ""


def test_what_it_cannot_have_is_refused_with_a_reason_and_ray_goes_on() -> None:
    asks = ray.remote(_variable).options(runtime_env={"pip": ["nothing"], "env_vars": {"A": "b"}})
    with pytest.raises(RuntimeEnvSetupError, match="knows env_vars alone, not pip; start one on this machine with"):
        ray.get(asks.remote(), timeout=60)
    assert ray.get(ray.remote(_variable).remote(), timeout=60) == ""


def _variable() -> str:
    return os.environ.get("PODIUM_TEST", "")
