"""Settings as Python code gives them."""

from __future__ import annotations

import inspect
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hpo.spec.study import StudySpec
from hpo.system.errors import UserError
from models.cnn import cnn
from tests.helpers.layers import OURS


def test_a_dict_is_as_good_as_texts() -> None:
    ranges: dict[str, Any] = {"weight_decay": (1e-5, 1e-2, "log"), "dropout": (0.0, 0.3), "batch_size": [32, 64]}
    made = StudySpec.of(set={"lr": 0.1, "schedule": "cosine"}, range=ranges, prior={"dropout": 0.2})
    said = StudySpec.of(
        set=["lr=0.1", "schedule=cosine"],
        range=["weight_decay=1e-05:0.01:log", "dropout=0.0:0.3", "batch_size=32,64"],
        prior="dropout=0.2",
    )
    assert made == said


def test_configurations_to_try_are_dicts() -> None:
    one = {"lr": 0.01, "batch_size": 64}
    assert StudySpec.of(enqueue=one).search.enqueue == ("lr=0.01,batch_size=64",)
    both = StudySpec.of(enqueue=[one, "lr=0.02"]).search.enqueue
    assert both == ("lr=0.01,batch_size=64", "lr=0.02") and StudySpec.of(enqueue="lr=0.02").search.enqueue == both[1:]
    with pytest.raises(UserError, match=r"setting enqueue .*: must be a text or a list of texts"):
        StudySpec.of(enqueue=[3])


@pytest.mark.parametrize("value", [(1,), (1, 2, 3), [], 5, {"low": 1}, ("relu", "gelu")])
def test_a_range_has_two_ends_or_choices(value: Any) -> None:
    with pytest.raises(UserError, match=r"^setting range lr = .*: must be \(low, high\), \(low, high, 'log'\) or a"):
        StudySpec.of(range={"lr": value})


def test_a_range_of_one_value_is_fixed_with_set() -> None:
    with pytest.raises(
        UserError, match=re.escape("activation = ['relu']: is one value; fix it with set={'activation'")
    ):
        StudySpec.of(range={"activation": ["relu"]})


def test_none_is_nothing_said() -> None:
    assert StudySpec.of(model=None, trials=None, enqueue=None, time_budget=None) == StudySpec()


def test_a_class_of_a_module_is_named_by_it() -> None:
    assert StudySpec.of(model=Path).search.model == ("pathlib:Path",)
    assert StudySpec.of(model=["mlp", Path]).search.model == ("mlp", "pathlib:Path")
    assert "models" in OURS
    with pytest.raises(ValueError, match="models is the name of a package of Podium's too"):
        StudySpec.of(model=cnn)


def test_a_class_of_a_notebook_is_refused_with_what_to_do() -> None:
    with pytest.raises(UserError, match="setting model: is an object of partial; give the class"):
        StudySpec.of(model=partial(cnn))
    here = type("Net", (), {"__module__": "__main__"})
    for one in (here, lambda shape, classes: None):
        with pytest.raises(UserError, match=r"workers cannot import it from here; .* give model='nets.py:"):
            StudySpec.of(model=one)


def test_an_editor_knows_the_settings() -> None:
    names = list(inspect.signature(StudySpec.of).parameters)
    assert {"model", "trials", "set", "range", "resume", "data_dir"} <= set(names) and "cls" not in names
