from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hpo.search.samplers.encoding import Encoding

SPACE: dict[str, Any] = {
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "dropout": FloatDistribution(0.0, 0.5),
    "width": IntDistribution(4, 64, log=True),
    "layers": IntDistribution(1, 5),
    "steps": FloatDistribution(0.0, 1.0, step=0.25),
    "activation": CategoricalDistribution(("relu", "gelu", "tanh")),
}
CONFIG = {"lr": 1e-2, "dropout": 0.25, "width": 16, "layers": 2, "steps": 0.75, "activation": "gelu"}


@pytest.fixture
def encoding() -> Encoding:
    return Encoding(SPACE)


def test_a_configuration_is_a_point_on_each_ones_scale_and_back(encoding: Encoding) -> None:
    (point,) = encoding.points([CONFIG])
    at = dict(zip(encoding.space, point, strict=True))
    assert at == pytest.approx(
        {"lr": 2 / 3, "dropout": 0.5, "width": 0.5, "layers": 0.25, "steps": 0.75, "activation": 1}
    )
    assert encoding.config(point) == pytest.approx(CONFIG | {"activation": "gelu"})


def test_what_is_drawn_lies_in_the_space_and_fills_it(encoding: Encoding) -> None:
    configs = [encoding.config(point) for point in encoding.random(500, np.random.default_rng(0))]
    for name, distribution in SPACE.items():
        assert all(distribution._contains(distribution.to_internal_repr(config[name])) for config in configs), name
    assert {config["activation"] for config in configs} == {"relu", "gelu", "tanh"}
    assert {config["layers"] for config in configs} == {1, 2, 3, 4, 5}
    assert {config["steps"] for config in configs} == {0, 0.25, 0.5, 0.75, 1}
    assert min(config["lr"] for config in configs) < 2e-4 and max(config["lr"] for config in configs) > 5e-2


def test_a_neighbour_keeps_about_half_and_changes_at_least_one(encoding: Encoding) -> None:
    (point,) = encoding.points([CONFIG])
    near = encoding.mutated(point, 400, 0.1, np.random.default_rng(0))
    changed = near != point
    assert 0.4 < changed[:, ~encoding.is_choice].mean() < 0.7
    assert float(np.abs(near - point)[:, ~encoding.is_choice].max()) < 0.5
    assert set(near[:, list(encoding.space).index("activation")]) == {0, 1, 2}


def test_choices_are_alike_or_not(encoding: Encoding) -> None:
    other = CONFIG | {"activation": "tanh", "lr": 1e-1}
    one, two = encoding.points([CONFIG, other])
    squared = dict(zip(encoding.space, encoding.squared_distances(one[None], two[None])[0, 0], strict=True))
    assert squared.pop("activation") == 1 and squared.pop("lr") == pytest.approx(1 / 9) and set(squared.values()) == {0}


def test_rounding_does_not_leave_the_range() -> None:
    distribution = FloatDistribution(1.00000000000009e-4, 1e-1, log=True)
    encoding = Encoding({"lr": distribution})
    assert encoding.config(np.array([0.0]))["lr"] == distribution.low
