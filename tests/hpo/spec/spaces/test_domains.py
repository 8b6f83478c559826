"""Which values a hyperparameter can have."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hpo.spec.spaces.domains import check_value
from hpo.system.errors import UserError


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lr", 1e-300),
        ("dropout", 0),
        ("dropout", math.nextafter(1.0, 0.0)),
        ("weight_decay", 10),
        ("step_factor", 1.0),
        ("activation", "gelu"),
        ("mine", "anything"),
        ("mine", -1),
    ],
)
def test_values_in_the_domain_pass(key: str, value: Any) -> None:
    check_value("--set", key, value, whole=False)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("lr", 0.0, "lr must be over 0 and finite"),
        ("lr", math.inf, "lr must be over 0 and finite"),
        ("dropout", 1.0, "dropout must be at least 0 and under 1"),
        ("momentum", -0.1, "momentum must be at least 0 and under 1"),
        ("weight_decay", math.nan, "weight_decay must be at least 0"),
        ("step_factor", 1.5, "step_factor must be over 0 and at most 1"),
        ("lr", "fast", "'fast' is not a number"),
        ("lr", True, "True is not a number"),
        ("activation", "gleu", "unknown (did you mean gelu?); choose from "),
    ],
)
def test_other_values_are_refused_with_the_flag(key: str, value: Any, words: str) -> None:
    with pytest.raises(UserError) as error:
        check_value(f"--set {key}={value}", key, value, whole=False)
    assert str(error.value).startswith(f"--set {key}={value}: {words}")


def test_counts_are_whole_numbers() -> None:
    check_value("--set", "batch_size", 32, whole=True)
    with pytest.raises(UserError, match=r"--set: 32\.5 is not a whole number"):
        check_value("--set", "batch_size", 32.5, whole=True)


@pytest.mark.parametrize("key", ["width", "width_2"])
def test_every_width_has_the_domain_of_width(key: str) -> None:
    check_value("--set", key, 2**16, whole=True)
    with pytest.raises(UserError, match=f"--set: {key} must be a whole number from 1 to 65536"):
        check_value("--set", key, 2**16 + 1, whole=True)
