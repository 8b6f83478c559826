"""--prior and --enqueue: what a user thinks is good, or wants tried."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hpo.spec.search import SearchSpec
from hpo.spec.spaces.guess import Guess
from hpo.spec.spaces.prior import enqueued, first_configs, user_guesses
from hpo.spec.spaces.search_space import search_space


def guesses(**settings: Any) -> dict[str, Guess]:
    search = SearchSpec(**settings)
    return user_guesses(search, {model: search_space(model, search) for model in search.model})


def test_all_values_are_one_guess_with_the_widths_that_were_given() -> None:
    prior = ("lr=2e-3:0.3", "activation=gelu", "batch-size=128", "dropout=0")
    config = {"lr": 2e-3, "activation": "gelu", "batch_size": 128, "dropout": 0.0}
    assert guesses(prior=prior) == {"cnn": Guess(config, widths={"lr": 0.3})}
    assert guesses() == {}


def test_it_is_for_each_architecture_that_searches_the_hyperparameter() -> None:
    found = guesses(model=("cnn", "compact_7k", "vgg16"), prior=("dropout=0.3", "activation=silu"))
    configs = {model: guess.config for model, guess in found.items()}
    both = {"dropout": 0.3, "activation": "silu"}
    assert configs == {"cnn": both, "compact_7k": {"activation": "silu"}, "vgg16": {"dropout": 0.3}}


def test_one_that_a_table_fixes_takes_no_part() -> None:
    found = guesses(model=("cnn", "mlp"), prior=("lr=2e-3",), space={"mlp": {"lr": 0.01}})
    assert list(found) == ["cnn"]


def test_a_value_may_be_one_of_a_list_of_a_table() -> None:
    table = {"lr": [0.001, 0.01], "momentum": {"low": 0.5, "high": 0.9}}
    found = guesses(prior=("lr=1e-3", "momentum=0.7"), space={"cnn": table})
    assert found["cnn"].config == {"lr": 0.001, "momentum": 0.7}


def test_whole_numbers_stay_whole() -> None:
    found = guesses(prior=("batch_size=48:1",), ranges=("batch_size=16:64:log",))["cnn"]
    assert found == Guess({"batch_size": 48}, widths={"batch_size": 1.0}) and isinstance(
        found.config["batch_size"], int
    )


def test_the_guess_follows_the_recipe_where_it_differs() -> None:
    space = search_space("cnn", SearchSpec())
    guess = Guess({"lr": 0.01, "activation": "gelu"})
    assert first_configs(space, [guess]) == (space.default, {**space.default, "lr": 0.01, "activation": "gelu"})
    assert first_configs(space, [Guess({"lr": space.default["lr"]})]) == (space.default,)
    assert first_configs(space, []) == (space.default,)


WRONG = {
    "lr": "--prior lr: write NAME=VALUE, such as --prior lr=2e-3",
    "learning_rate=0.1": "--prior learning_rate=0.1: unknown (did you mean lr?); choose from lr, dropout",
    "lr=fast": "--prior lr=fast: 'fast' is not a number",
    "lr=nan": "lr must be over 0 and finite",
    "lr=0.1": "--prior lr=0.1: cnn searches lr from 0.0005 to 0.02; --range lr=LOW:HIGH changes that",
    "lr=2e-3:0": "--prior lr=2e-3:0: the width 0 is a share of the range, over 0 and at most 1",
    "lr=2e-3:1.5": "the width 1.5 is a share of the range",
    "lr=2e-3:wide": "the width wide is a share of the range",
    "lr=2e-3:nan": "the width nan is a share of the range",
    "lr=2e-3:": "the width  is a share of the range",
    "activation=rellu": "--prior activation=rellu: unknown (did you mean relu?); choose from relu, leaky_relu",
    "activation=gelu:0.2": "activation is a choice and takes no width; give --prior activation=gelu",
    "batch_size=50": "--prior batch_size=50: unknown; choose from 32, 64, 128, 256",
    "optimizer=sgd": "optimizer is fixed at adamw; to search it, give a list in the table [space.cnn] of a --config",
    "weight_decay=0.1": "weight_decay is fixed at 0.01; to search it, give --range weight_decay=LOW:HIGH",
    "momentum=0.8": "momentum is fixed at 0.9; to search it, give --range momentum=LOW:HIGH",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_guess_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(WRONG[text])) as caught:
        guesses(prior=(text,))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prior": ("lr=2e-3", "lr=1e-3")}, "--prior lr=1e-3: lr is given twice"),
        ({"prior": ("lr=2e-3",), "fixed": ("lr=0.01",)}, "--prior lr=2e-3: --set fixes lr; leave one of them out"),
        ({"prior": ("dropout=0.2",), "model": ("compact_7k",)}, "--prior dropout=0.2: unknown; choose from lr"),
        ({"prior": ("batch_size=8.5",), "ranges": ("batch_size=8:24",)}, "'8.5' is not a whole number"),
        ({"prior": ("lr=0.015",), "model": ("cnn", "vgg16")}, "vgg16 searches lr from 1e-05 to 0.01"),
    ],
)
def test_what_does_not_go_together_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        guesses(**settings)


def configurations(**settings: Any) -> dict[str, list[dict[str, Any]]]:
    search = SearchSpec(**settings)
    found = enqueued(search, {model: search_space(model, search) for model in search.model})
    return {model: [dict(guess.config) for guess in guesses] for model, guesses in found.items()}


def test_configurations_are_enqueued_in_their_order() -> None:
    assert configurations() == {"cnn": []}
    texts = ("lr=0.01, batch-size=128", "dropout=0.3")
    found = configurations(model=("cnn", "compact_7k"), enqueue=texts, sampler="tpe")
    first = {"lr": 0.01, "batch_size": 128}
    assert found == {"cnn": [first, {"dropout": 0.3}], "compact_7k": [first]}
    space = search_space("cnn", SearchSpec())
    configs = first_configs(space, [Guess(config) for config in found["cnn"]])
    assert configs == (space.default, {**space.default, **first}, {**space.default, "dropout": 0.3})


def test_a_value_that_is_fixed_so_may_be_in_it() -> None:
    whole = "lr=0.01,optimizer=adamw,ema=0.99,width_1=32"
    assert configurations(enqueue=(whole,)) == {"cnn": [{"lr": 0.01}]}
    assert configurations(enqueue=("lr=0.01",), fixed=("dropout=0.1",))["cnn"] == [{"lr": 0.01}]
    assert configurations(enqueue=("lr=0.01,dropout=0.1",), fixed=("dropout=0.1",))["cnn"] == [{"lr": 0.01}]


def test_there_is_a_trial_for_each() -> None:
    with pytest.raises(ValueError, match="--enqueue: with the first trial that is 3 trials; give --trials 3 or more"):
        SearchSpec(trials=2, enqueue=("lr=0.01", "lr=0.02"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"enqueue": ("0.01",)}, "--enqueue 0.01: write NAME=VALUE, such as --enqueue lr=0.01,batch_size=64"),
        ({"enqueue": ("lr=0.01,lr=0.02",)}, "--enqueue lr=0.01,lr=0.02: lr is given twice"),
        ({"enqueue": ("lr=0.5,dropout=0",)}, "--enqueue lr=0.5,dropout=0: cnn searches lr from 0.0005 to 0.02"),
        ({"enqueue": ("speed=1",)}, "--enqueue speed=1: unknown; choose from lr"),
        ({"enqueue": ("lr=2e-3:0.3",)}, "--enqueue lr=2e-3:0.3: '2e-3:0.3' is not a number"),
        ({"enqueue": ("activation=relu:0.3",)}, "relu:0.3: unknown (did you mean relu?)"),
        ({"enqueue": ("lr=0.02",), "fixed": ("lr=0.01",)}, "--enqueue lr=0.02: --set fixes lr; leave one of them out"),
        ({"enqueue": ("ema=0.5",)}, "--enqueue ema=0.5: ema is fixed at 0.99; to search it, give --range ema=LOW:HIGH"),
    ],
)
def test_what_cannot_be_enqueued_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        configurations(**settings)
