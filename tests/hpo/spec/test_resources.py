"""The settings of what trials run on."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.spec.resources import ResourceSpec


@pytest.mark.parametrize("gpus", [None, 0, 0.25, 1, 2, 2.0, "auto"])
def test_shares_of_a_gpu_and_whole_ones(gpus: Any) -> None:
    assert ResourceSpec(gpus_per_trial=gpus).gpus_per_trial == gpus


@pytest.mark.parametrize("gpus", [1.5, -0.5, float("nan"), float("inf"), "some"])
def test_other_numbers_of_gpus_are_refused(gpus: Any) -> None:
    with pytest.raises(ValueError, match="--gpus-per-trial "):
        ResourceSpec(gpus_per_trial=gpus)


def test_each_worker_has_a_bundle_of_its_own() -> None:
    spec = ResourceSpec(cpus_per_trial=2, workers_per_trial=3)
    assert spec.bundles(1.0) == [{"CPU": 2.0, "GPU": 1.0}] * 3 and spec.bundles(0.0) == [{"CPU": 2.0}] * 3
    with pytest.raises(ValueError, match=r"--gpus-per-trial 0\.5: each of --workers-per-trial needs a GPU of its own"):
        ResourceSpec(gpus_per_trial=0.5, workers_per_trial=2)


def test_a_number_of_trials_to_fuse_may_be_a_text() -> None:
    assert ResourceSpec(fuse="4").fuse == 4 and ResourceSpec(fuse="off").fuse == "off"


def test_a_dashboards_address_is_for_submit() -> None:
    with pytest.raises(ValueError, match=r"--address http://h:8265: give auto or HOST:PORT .* hpo submit"):
        ResourceSpec(address="http://h:8265")
