"""The settings of `hpo train` and `hpo evaluate`."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.spec.commands.evaluate import EvaluateSpec
from hpo.spec.commands.fit import FitSpec, Hyperparameters


def test_a_hyperparameter_comes_with_the_flag_it_was_given_by() -> None:
    given = Hyperparameters(lr=0.1, batch_size=32, fixed=("width=8",)).given()
    assert given == {"lr": ("--lr 0.1", 0.1), "batch_size": ("--batch-size 32", 32), "width": ("--set width=8", 8)}
    assert Hyperparameters().given() == {}


def test_one_hyperparameter_has_one_value() -> None:
    with pytest.raises(ValueError, match=r"--set lr=0\.2: --lr 0\.1 is given too; choose one of them"):
        Hyperparameters(lr=0.1, fixed=("lr=0.2",)).given()


def test_a_recipe_and_an_earlier_run_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="--recipe A --from results/a: choose one of them"):
        FitSpec(recipe="A", origin=Path("results/a"))


def test_what_is_evaluated_is_a_split() -> None:
    with pytest.raises(ValueError, match=r"--split tets: unknown \(did you mean test\?\); choose from test, "):
        EvaluateSpec(split="tets")
    with pytest.raises(ValueError, match="--misclassified"):
        EvaluateSpec(misclassified=Path("worst.jpg"))
