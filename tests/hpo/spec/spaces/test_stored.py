from __future__ import annotations

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hpo.spec.search import SearchSpec
from hpo.spec.spaces.search_space import search_space
from hpo.spec.spaces.stored import checksum, parse_distribution, stored_space


@pytest.mark.parametrize(
    "distribution",
    [
        FloatDistribution(1e-5, 0.3, log=True),
        FloatDistribution(0.0, 0.6),
        IntDistribution(4, 64, log=True),
        CategoricalDistribution(("relu", "it's", 0.5, 3, True, None)),
    ],
)
def test_a_distribution_is_read_as_it_was_written(distribution: BaseDistribution) -> None:
    assert parse_distribution(str(distribution)) == distribution


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "FloatDistribution(low=1)",
        "open('x')",
        "FloatDistribution(low=f(), high=2)",
        "Distribution(a=1)",
        "a b",
    ],
)
def test_anything_else_is_refused_and_nothing_of_it_is_run(text: str) -> None:
    with pytest.raises(ValueError, match="is no distribution"):
        parse_distribution(text)


def test_a_stored_space_takes_the_place_of_todays_with_its_defaults_moved_into_it() -> None:
    space = search_space("cnn", SearchSpec())
    begun = stored_space(
        space, {"lr": str(FloatDistribution(0.01, 0.1)), "optimizer": str(CategoricalDistribution(("sgd",)))}
    )
    assert list(begun.distributions) == ["lr", "optimizer"] and begun.default == {"lr": 0.01, "optimizer": "sgd"}
    assert stored_space(space, {}) == space
    own = space.texts()
    assert stored_space(space, own, checksum(own)).distributions == space.distributions
    with pytest.raises(ValueError, match="checksum"):
        stored_space(space, {**own, "lr": str(FloatDistribution(1e-4, 2e-2, log=True))}, checksum(own))
