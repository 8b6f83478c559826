"""What a resumed run may change."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.session.preflight.planning import preflight
from hpo.session.study_json import describe
from hpo.spec.spaces.guess import Guess
from tests.helpers.specs import digits as spec


def test_a_run_from_before_a_setting_was_one_can_be_resumed() -> None:
    stored = describe(preflight(spec(model="mlp", trials=3)))
    for key in ("objective", "finalists", "final_seeds"):
        del stored["spec"][key]
    assert preflight(spec(model="mlp", trials=9, resume="x"), stored).spec.search.trials == 9
    with pytest.raises(ValueError, match="cannot change --objective"):
        preflight(spec(model="mlp", objective=["accuracy", "time"], resume="x"), stored)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": "cnn"}, r"cannot change --model \['mlp'\] -> \['cnn'\]"),
        ({"epochs": 3}, "cannot change --epochs 10 -> 3"),
        ({"set": "lr=0.1"}, r"cannot change --set unset -> \['lr=0.1'\]"),
        ({"prior": "lr=2e-3"}, r"cannot change --prior unset -> \['lr=2e-3'\]"),
        ({"seed": 4, "sampler": "gp"}, "cannot change --sampler auto -> gp; --seed 0 -> 4"),
        ({"train_size": 50}, "cannot change --train-size unset -> 50"),
        ({"rank_by": "time"}, r"cannot change --rank-by unset -> \['time'\]"),
        ({"dataset": "mnist"}, "--dataset digits -> mnist"),
        ({"storage": "sqlite:///other.db"}, "--storage must be the one it began with, none"),
    ],
)
def test_another_study_is_refused_with_the_difference(changed: dict[str, Any], message: str) -> None:
    stored = describe(preflight(spec(model="mlp")))
    with pytest.raises(ValueError, match=f"--resume x: .*{message}") as caught:
        preflight(spec(**{"model": "mlp", "resume": "x", **changed}), stored)
    assert "\n" not in str(caught.value)


def test_a_resumed_run_keeps_its_guesses_and_the_space_that_they_are_in() -> None:
    plan = preflight(spec(model="mlp", prior="lr=0.01:0.3", range="lr=5e-3:5e-2:log"))
    stored = describe(plan)
    assert stored["spec"]["prior"] == ["lr=0.01:0.3"]
    (model,) = preflight(spec(**stored["spec"], resume="x"), stored).models
    assert model.guesses == plan.models[0].guesses == (Guess({"lr": 0.01}, widths={"lr": 0.3}),)


def test_data_that_changed_since_is_refused() -> None:
    stored = describe(preflight(spec(model="mlp")))
    stored["data"]["hashes"]["train"] = "0" * 64
    with pytest.raises(ValueError, match="--dataset digits: its train split is not the one of the run"):
        preflight(spec(model="mlp", resume="x"), stored)
