"""What earlier trials say to a new search."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hpo.search.samplers.experience import GOOD, WIDTH, Lessons, Source, learn, sources
from hpo.spec.spaces.search_space import Space
from hpo.trials.records import TrialState
from tests.helpers.records import record

SPACE = Space(
    {
        "lr": FloatDistribution(1e-4, 1e-2, log=True),
        "width": IntDistribution(8, 64),
        "activation": CategoricalDistribution(("relu", "gelu")),
        "optimizer": CategoricalDistribution(("adamw",)),
    },
    {"lr": 1e-3, "width": 32, "activation": "relu", "optimizer": "adamw"},
)


def source(*lrs: float, model: str = "cnn", dataset: str = "mnist", **values: Any) -> Source:
    return Source(model, dataset, tuple({"lr": lr, "width": 32, "activation": "gelu", **values} for lr in lrs))


def lessons(*known: Source, trials: int = 50, space: Space = SPACE) -> Lessons:
    return learn(known, "cnn", "mnist", space, trials)


def curve(*values: float | None) -> list[dict[str, Any]]:
    return [{"epoch": epoch, "val_accuracy": value} for epoch, value in enumerate(values, start=1)]


def test_trials_are_compared_on_the_highest_rung_that_they_came_to() -> None:
    stopped = {"state": TrialState.STOPPED}
    records = [
        record(0, config={"n": "early peak"}, val_accuracy=0.99, curve=curve(0.99, 0.5), **stopped),
        record(1, config={"n": "second rung"}, val_accuracy=0.7, curve=curve(0.1, 0.2, 0.3, 0.4, 0.5, 0.7), **stopped),
        record(2, config={"n": "complete"}, val_accuracy=0.6),
        record(3, config={"n": "first rung"}, val_accuracy=0.6, curve=curve(0.5, 0.6), **stopped),
        record(4, config={"n": "diverged"}, state=TrialState.DIVERGED, val_accuracy=0.9, curve=curve(0.9, 0.9)),
        record(5, config={"n": "no rung"}, val_accuracy=0.98, curve=curve(0.98), **stopped),
        record(6, config={"n": "failed"}, state=TrialState.FAILED, val_accuracy=1.0),
    ]
    (found,) = sources(records, (2, 6))
    order = ["complete", "second rung", "first rung", "early peak", "no rung", "diverged"]
    assert [config["n"] for config in found.configs] == order
    assert (found.model, found.dataset) == ("cnn", "digits")


def test_each_architecture_of_a_run_is_a_source_of_its_own() -> None:
    records = [record(0, model="a:Net", val_accuracy=0.1), record(1, model="mlp", val_accuracy=0.9)]
    assert [one.model for one in sources(records, ())] == ["a:Net", "mlp"]
    assert sources([record(0, state=TrialState.FAILED)], ()) == sources([], ()) == []


def test_first_come_the_best_of_each_source_the_most_similar_source_first() -> None:
    other, same_model, same = (
        source(1e-4, 1.2e-3, 8e-4, model="mlp"),
        source(4e-4, 3e-3, 2e-3, dataset="digits"),
        source(9e-3, 1e-2, 5e-3),
    )
    found = lessons(other, same_model, same, trials=30).first_configs
    assert [config["lr"] for config in found] == [9e-3, 4e-4, 1e-4, 3e-3, 1.2e-3]  # 1e-2 is close to 9e-3
    assert all(config["optimizer"] == "adamw" for config in found)  # of the recipe
    weights = {guess.config["lr"]: guess.weight for guess in lessons(other, same_model, same).guesses}
    assert weights[9e-3] > weights[4e-4] > weights[1e-4]


@pytest.mark.parametrize(("trials", "count"), [(1, 1), (9, 1), (10, 2), (30, 5), (1000, 5)])
def test_few_trials_of_a_search_are_spent_on_those_of_others(trials: int, count: int) -> None:
    spread = source(1e-4, 2.5e-4, 6e-4, 2e-3, 8e-3, *[1e-4] * 9)
    assert len(lessons(spread, trials=trials).first_configs) == count


def test_what_is_close_to_the_recipe_is_not_tried_again() -> None:
    near = source(1.01e-3, activation="relu")
    assert lessons(near).first_configs == ()
    assert len(lessons(near, source(1.01e-3)).first_configs) == 1


def test_guesses_are_the_best_of_a_source_that_has_some_trials() -> None:
    assert lessons(source(1e-3, 2e-3)).guesses == ()
    (guess,) = lessons(source(1e-3, 2e-3, 3e-3)).guesses
    assert guess.config == {"lr": 1e-3, "width": 32, "activation": "gelu"}
    assert guess.widths == dict.fromkeys(guess.config, WIDTH)
    many = lessons(source(*[1e-3] * 60)).guesses
    assert len(many) == GOOD and sum(one.weight for one in many) == pytest.approx(guess.weight)


def test_values_are_moved_into_todays_ranges_and_nothing_is_said_of_what_the_source_had_not() -> None:
    old = Source("cnn", "mnist", tuple({"lr": 0.5, "width": 20.6, "momentum": 0.9} for _ in range(3)))
    found = lessons(old)
    assert found.guesses[0].config == {"lr": 1e-2, "width": 21}
    assert found.first_configs == ({"lr": 1e-2, "width": 21, "activation": "relu", "optimizer": "adamw"},)


def test_a_choice_that_is_none_today_is_the_recipes_and_another_optimizer_says_nothing() -> None:
    found = lessons(source(5e-3, 5e-3, 5e-3, activation="swish"))
    assert found.first_configs[0]["activation"] == "relu" and "activation" not in found.guesses[0].config
    assert lessons(source(5e-3, 5e-3, 5e-3, optimizer="sgd")) == Lessons()


@pytest.mark.parametrize("value", ["fast", None, True, [1], float("nan"), float("inf")])
def test_a_value_that_is_no_number_is_left_out(value: Any) -> None:
    found = lessons(source(*[value] * 3))
    assert found.first_configs[0]["lr"] == 1e-3 and "lr" not in found.guesses[0].config


def test_where_nothing_is_searched_nothing_is_learned() -> None:
    fixed = Space({"lr": CategoricalDistribution((0.1,))}, {"lr": 0.1})
    assert lessons(source(1e-3, 2e-3, 3e-3), space=fixed) == Lessons()
