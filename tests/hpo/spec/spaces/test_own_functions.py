"""Losses and metrics of the user's own, and what of the rest they leave room for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.networks.own_criteria import check_criteria
from hpo.spec.search import SearchSpec
from hpo.spec.spaces.own_functions import load, own_functions
from hpo.spec.spaces.search_space import configuration, search_space
from hpo.spec.study import StudySpec
from hpo.system.errors import UserError
from trainers.config import TrainConfig
from trainers.criteria.own import NONE

EXAMPLE = "tests/examples/criteria.py"
CODE = """
import torch
from torch import nn
from torch.nn import functional as F

class Smooth(nn.Module):
    def forward(self, logits, labels):
        return F.cross_entropy(logits, labels, label_smoothing=0.5)

def vector(logits, labels):
    return F.cross_entropy(logits, labels, reduction="none")

def constant(logits, labels):
    return torch.tensor(1.0)

def number(logits, labels):
    return 1.0

def nothing(labels, probabilities):
    return None

def broken(one, other):
    raise RuntimeError("on purpose")

accuracy = broken
value = 3
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "mine.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return "mine.py"


def test_they_are_functions_or_classes(mine: str) -> None:
    assert own_functions(TrainConfig()) is NONE
    found = own_functions(TrainConfig(loss=f"{mine}:Smooth", metric="macro_f1"))
    assert found.metric is None and found.loss is not None
    assert found.loss(torch.zeros(2, 4), torch.tensor([0, 1])).item() == pytest.approx(torch.tensor(4.0).log().item())
    check_criteria(["focal", f"{mine}:Smooth"], "auroc", classes=3)


@pytest.mark.parametrize(
    ("losses", "metric", "words"),
    [
        (["mine.py:vector"], "auroc", "--loss mine.py:vector: returns a tensor of shape (8,); it must return a single"),
        (["mine.py:constant"], "auroc", "--loss mine.py:constant: its result does not depend on the logits"),
        (["mine.py:number"], "auroc", "--loss mine.py:number: returns float; it must return a single number"),
        (
            ["mine.py:broken"],
            "auroc",
            "--loss mine.py:broken: fails for logits (8, 3) and labels (8,): Runtime",
        ),
        (["mine.py:none"], "auroc", "--loss mine.py:none: cannot be imported (AttributeError: "),
        (["mine.py:value"], "auroc", "--loss mine.py:value: is of type int, not a function or class"),
        (["nobody.py:f"], "auroc", "--loss nobody.py:f: there is no file nobody.py"),
        ([], "mine.py:nothing", "--metric mine.py:nothing: returns None; it must return a number"),
        ([], "mine.py:broken", "--metric mine.py:broken: fails for labels (8,) and probabilities (8, 3): RuntimeError"),
        ([], "top5", "--metric top5: with 3 classes every image is right; choose another metric"),
    ],
)
def test_what_cannot_be_used_is_one_line(mine: str, losses: list[str], metric: str, words: str) -> None:
    with pytest.raises(UserError) as error:
        check_criteria(losses, metric, classes=3)
    assert str(error.value).startswith(words) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"loss": "focl"},
            "--loss focl: unknown (did you mean focal?); choose from cross_entropy, focal, bce, or give",
        ),
        ({"set": "loss=focl"}, "--set loss=focl: unknown (did you mean focal?)"),
        ({"range": "loss=bce,focl"}, "--range loss=bce,focl: unknown (did you mean focal?)"),
        ({"metric": "f1"}, "--metric f1: unknown (did you mean macro_f1?); choose from accuracy, "),
        ({"metric": "mine:accuracy"}, "--metric mine:accuracy: accuracy is the name of a column or metric"),
        (
            {"metric": "models.x:f"},
            "--metric models.x:f: models is the name of a package of Podium's too; name your file",
        ),
        ({"loss": "bce", "set": "loss=focal"}, "--loss bce: --set has it too; choose one of them"),
        ({"metric": "auroc", "objective": "accuracy"}, "--objective accuracy: unknown (did you mean auroc?); choose"),
        ({"class_weights": "yes"}, "--class-weights yes: unknown; choose from none, balanced"),
        ({"loss": "mine.py:Smooth", "set": "label_smoothing=0.1"}, "--loss: your own has no label_smoothing;"),
        ({"space": {"cnn": {"loss": ["bce", "a:b"]}}}, "--config: loss a:b: a loss of your own is named with --loss"),
    ],
)
def test_wrong_settings_are_one_line(mine: str, given: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        search_space("cnn", StudySpec.of(**given).search)
    assert str(error.value).startswith(words) and "\n" not in str(error.value)


def test_they_are_searched_and_fixed_like_other_hyperparameters() -> None:
    space = search_space("cnn", SearchSpec(ranges=("loss=bce,focal",), class_weights="balanced"))
    assert space.distributions["loss"].choices == ("bce", "focal")  # type: ignore[attr-defined]
    assert space.default["class_weights"] == "balanced" and not space.distributions["label_smoothing"].single()
    own = search_space("cnn", SearchSpec(ranges=(f"loss=bce,{EXAMPLE}:poly1",)))
    assert own.default["label_smoothing"] == 0.0 and own.distributions["label_smoothing"].single()
    config = configuration("cnn", {"loss": ("--loss x", f"{EXAMPLE}:poly1")})
    assert config["label_smoothing"] == 0.0 and config["class_weights"] == "none"
    with pytest.raises(UserError, match="--class-weights balanced: a loss of your own has no class_weights"):
        configuration(
            "cnn", {"loss": ("x", f"{EXAMPLE}:poly1"), "class_weights": ("--class-weights balanced", "balanced")}
        )


def test_code_that_a_run_names_is_named_by_flags() -> None:
    spec = SearchSpec(metric="a:m", loss="b:l", ranges=("lr=1e-4:1e-3:log",))
    assert spec.own_functions == (("--metric", ("a:m",)), ("--loss", ("b:l",))) and spec.losses == ("b:l",)
    ranged = SearchSpec(ranges=("lr=1e-4:1e-3:log", "loss=bce,c:l"), fixed=("dropout=0.1",))
    assert ranged.own_functions == (("--range", ranged.ranges),) and ranged.losses == ("bce", "c:l")
    assert SearchSpec(fixed=("loss=c:l", "lr=0.1")).own_functions == (("--set", ("loss=c:l", "lr=0.1")),)
    assert SearchSpec(metric="auroc", loss="bce").own_functions == ()


def test_the_example_is_what_it_says() -> None:
    check_criteria([f"{EXAMPLE}:poly1"], f"{EXAMPLE}:worst_recall", classes=4)
    assert re.match("The recall of the class", load("--metric", f"{EXAMPLE}:worst_recall").__doc__ or "")
