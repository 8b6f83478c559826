"""Configurations that a search tries after the recipe, without being told."""

from __future__ import annotations

import pytest

from hpo.search.samplers.portfolio import MOST, portfolio
from hpo.spec.search import SearchSpec
from hpo.spec.spaces.domains import check_value
from hpo.spec.spaces.search_space import Space, search_space
from models import MODELS


def space(model: str, **settings: list[str]) -> Space:
    return search_space(model, SearchSpec(model=(model,), **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("model", [name for name in MODELS if name != "vgg16"])
def test_each_architecture_has_different_ones_in_its_space(model: str) -> None:
    whole = space(model)
    configs = portfolio(model, whole, trials=20)
    assert len(configs) == MOST and len({tuple(config.items()) for config in configs}) == MOST
    for config in configs:
        assert config.keys() == whole.distributions.keys() and config != whole.default
        for name, value in config.items():
            check_value("", name, value, False)
            assert whole.distributions[name]._contains(whole.distributions[name].to_internal_repr(value))


def test_a_short_search_has_fewer() -> None:
    assert [len(portfolio("cnn", space("cnn"), trials)) for trials in (1, 10, 15, 20, 500)] == [1, 2, 3, 4, 4]


def test_architectures_differ_and_an_unknown_one_gets_the_best_of_each() -> None:
    known = {model: portfolio(model, space(model), 20) for model in ("mlp_small", "lenet5", "cnn")}
    others = portfolio("mlp", space("mlp"), 20)
    assert others[0] == known["mlp_small"][0] and others[1] == known["lenet5"][0]


def test_they_lie_in_the_users_own_space() -> None:
    narrow = space("cnn", ranges=["lr=1e-4:1e-3:log"], fixed=["activation=tanh"])
    configs = portfolio("cnn", narrow, 20)
    assert configs and all(config["lr"] == 1e-3 and config["activation"] == "tanh" for config in configs)


def test_there_are_none_where_nothing_is_searched_or_the_recipe_is_another_one() -> None:
    everything = [
        f"{name}={value}" for name, value in space("cnn").default.items() if name in space("cnn").distributions
    ]
    assert portfolio("cnn", space("cnn", fixed=everything), 20) == ()
    for model in ("vgg16", "torchvision:resnet18"):
        assert portfolio(model, space(model), 20) == ()
