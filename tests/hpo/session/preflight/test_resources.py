"""What the trials run on."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.session.preflight.planning import preflight
from hpo.session.preflight.resources import Available, choose_concurrency, choose_device, choose_gpus_per_trial
from hpo.spec.resources import ResourceSpec
from hpo.system.errors import UserError
from tests.helpers.specs import digits as spec


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "cuda"}, "--device cuda: this machine has no CUDA GPU; choose from cpu, auto"),
        ({"gpus_per_trial": 1}, "--gpus-per-trial 1: there are 0 GPUs"),
        ({"gpus_per_trial": 0.5}, "--gpus-per-trial 0.5: there are 0 GPUs"),
        ({"device": "cpu", "gpus_per_trial": 1}, "--gpus-per-trial 1: --device cpu uses none"),
        ({"device": "mps"}, "--device mps: this machine has no Apple GPU"),
        ({"cpus_per_trial": 9999}, "--cpus-per-trial 9999: there are"),
        ({"workers_per_trial": 9999}, "--workers-per-trial 9999, with --cpus-per-trial 1 for each: there are"),
        ({"workers_per_trial": 2, "gpus_per_trial": 1}, "--gpus-per-trial 1 for each of --workers-per-trial 2: there"),
        ({"workers_per_trial": 2, "gpus_per_trial": 0.5}, "--gpus-per-trial 0.5: each of --workers-per-trial needs"),
    ],
)
def test_resources_that_are_not_there_are_refused(settings: dict[str, Any], message: str) -> None:
    import torch

    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("this machine has an accelerator")
    with pytest.raises(ValueError, match=message):
        preflight(spec(**settings))


@pytest.mark.parametrize(
    ("gpus", "share", "room"), [(1, 0.3, 3), (2, 0.6, 2), (4, 0.25, 16), (4, 1, 4), (5, 2, 2), (1, 0.1, 10)]
)
def test_a_share_of_a_gpu_lies_on_one_gpu(gpus: int, share: float, room: int) -> None:
    assert choose_concurrency(ResourceSpec(gpus_per_trial=share), "cuda", share, Available(64, gpus)) == (room, "")


def test_concurrency_is_cut_to_what_the_resources_hold_and_said_so() -> None:
    four = Available(cpus=4, gpus=0)
    assert choose_concurrency(ResourceSpec(cpus_per_trial=2), "cpu", 0, four) == (2, "")
    assert choose_concurrency(ResourceSpec(concurrency=1), "cpu", 0, four) == (1, "")
    assert choose_concurrency(ResourceSpec(workers_per_trial=2), "cpu", 0, four) == (2, "")
    assert choose_concurrency(ResourceSpec(), "mps", 0, four) == (1, "")
    assert choose_concurrency(ResourceSpec(workers_per_trial=3), "cuda", 1, Available(64, 8)) == (2, "")
    at_once, note = choose_concurrency(ResourceSpec(concurrency=9), "cpu", 0, four)
    assert at_once == 4 and note == "--concurrency 9 is more than the resources hold: 4 at once"


@pytest.mark.parametrize(
    ("address", "at_once", "words"), [(None, 2, "2 at once"), ("auto", 16, "wait for nodes to join")]
)
def test_a_cluster_may_be_said_to_grow(address: str | None, at_once: int, words: str) -> None:
    count, note = choose_concurrency(ResourceSpec(concurrency=16, address=address), "cpu", 0.0, Available(2, 0))
    assert count == at_once and words in note


def test_an_empty_cluster_that_grows_is_no_mistake_and_one_that_does_not_is() -> None:
    nothing = Available(cpus=0, gpus=0)
    growing = ResourceSpec(concurrency=4, address="auto", gpus_per_trial=1.0)
    assert choose_concurrency(growing, "cuda", 1.0, nothing)[0] == 4
    assert choose_gpus_per_trial(growing, "cuda", nothing) == 1.0
    assert choose_device("auto", growing, nothing) == "cuda"
    with pytest.raises(UserError, match="--cpus-per-trial 1: there are 0 CPUs"):
        choose_concurrency(ResourceSpec(address="auto"), "cpu", 0.0, nothing)
    with pytest.raises(UserError, match="--gpus-per-trial 1: there are 0 GPUs"):
        choose_gpus_per_trial(ResourceSpec(address="auto", gpus_per_trial=1.0), "cuda", nothing)


def test_a_trial_takes_a_whole_gpu_unless_told_otherwise() -> None:
    one = Available(cpus=4, gpus=1)
    assert choose_gpus_per_trial(ResourceSpec(), choose_device("auto", ResourceSpec(), one), one) == 1.0
    shared = ResourceSpec(gpus_per_trial=0.5)
    assert choose_gpus_per_trial(shared, choose_device("auto", shared, one), one) == 0.5
    none = ResourceSpec(gpus_per_trial=0)
    assert choose_device("auto", none, one) == "cpu" and choose_gpus_per_trial(none, "cpu", one) == 0.0
