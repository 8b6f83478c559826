"""The settings of finals and of files."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.spec.output import FinalsSpec, OutputSpec
from hpo.spec.study import StudySpec
from hpo.system.errors import UserError


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"finalists": -1}, "--finalists -1: must be at least 0"),
        ({"final_seeds": 0}, "--final-seeds 0: must be at least 1"),
    ],
)
def test_finals_that_cannot_be_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        FinalsSpec(**given)
    assert str(error.value).startswith(words)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rank_by": "speed"}, "--rank-by speed: 'speed' is unknown; choose from accuracy, parameters, time"),
        ({"rank_by": "accuracy", "metric": "auroc"}, "--rank-by accuracy: 'accuracy' is unknown; choose from auroc"),
        ({"one_standard_error": True, "metric": "auroc"}, "--one-standard-error: is for the metric accuracy; leave"),
    ],
)
def test_ranks_go_by_the_metric(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        StudySpec.of(**given)
    assert str(error.value).startswith(words)
    assert StudySpec.of(metric="auroc", rank_by=["parameters", "auroc"]).search.objective == ("auroc",)


def test_no_finalists_is_a_choice() -> None:
    assert FinalsSpec(finalists=0).finalists == 0


@pytest.mark.parametrize(("flag", "value"), [("name", "a/b"), ("resume", ".."), ("resume", "a/..")])
def test_the_name_of_a_run_is_one_of_a_folder(flag: str, value: str) -> None:
    with pytest.raises(UserError, match=f"--{flag} .*: must be a plain folder name"):
        OutputSpec(**{flag: value})


def test_a_resumed_run_keeps_its_name() -> None:
    assert OutputSpec(name="a", resume="a").resume == "a"
    with pytest.raises(UserError, match="--name b: a resumed run keeps its name, a"):
        OutputSpec(name="b", resume="a")
