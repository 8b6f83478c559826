"""A batch has enough images for all workers of a trial."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.session.preflight.batches import check_batches
from hpo.session.preflight.planning import preflight
from tests.helpers.specs import digits as spec


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"set": ("batch_size=1",)}, "mlp needs batches of at least 2 images, batch_size is at most 1; give a larger"),
        ({"model": "lenet5_bn", "set": ("batch_size=3",)}, "lenet5_bn needs batches of at least 4 images, batch_size"),
        ({"model": ["mlp", "lenet5_bn"], "range": ("batch_size=1:3",)}, "lenet5_bn needs batches of at least 4 images"),
    ],
)
def test_batches_that_are_too_small_for_the_workers_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^--workers-per-trial 2: {message}"):
        preflight(spec(**{"model": "mlp", "workers_per_trial": 2, **settings}))


def test_batches_that_are_large_enough_for_the_workers_are_taken() -> None:
    preflight(spec(model="mlp", set=("batch_size=2",), workers_per_trial=2))
    preflight(spec(model="lenet5_bn", range=("batch_size=1:4",), workers_per_trial=2))


def test_fewer_images_than_workers_are_refused() -> None:
    plan = preflight(spec(model="mlp", train_size=30))
    message = (
        "^--workers-per-trial 31: mlp needs batches of at least 31 images, there are 30 training images; take fewer"
    )
    check_batches(plan.models, plan.dataset, 30)
    with pytest.raises(ValueError, match=message):
        check_batches(plan.models, plan.dataset, 31)
