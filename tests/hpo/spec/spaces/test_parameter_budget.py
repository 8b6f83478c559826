"""Which configurations have few enough parameters."""

from __future__ import annotations

from hpo.spec.spaces.parameter_budget import within_budget
from models import count_parameters

SHAPE = (1, 28, 28)
PARAMETERS = count_parameters("mlp", SHAPE, 10)


def test_without_a_budget_everything_fits() -> None:
    assert within_budget("mlp", SHAPE, 10, None)({"width_1": 10**6})


def test_a_network_of_just_the_budget_fits() -> None:
    params = {"lr": 0.1, "batch_size": 32, "activation": "relu"}  # how it is trained makes no parameters
    assert within_budget("mlp", SHAPE, 10, PARAMETERS)(params)
    assert not within_budget("mlp", SHAPE, 10, PARAMETERS - 1)(params)


def test_the_size_of_the_images_counts() -> None:
    assert not within_budget("mlp", (3, 28, 28), 10, PARAMETERS)({})


def test_a_network_that_cannot_be_made_passes_and_fails_as_a_trial_that_says_why() -> None:
    assert within_budget("mlp", SHAPE, 10, 1)({"activation": "swish"})
