"""The settings of what is searched."""

from __future__ import annotations

import math
import re

import pytest

from hpo.spec.search import SearchSpec
from models import MODELS


def test_architectures_are_taken_once_and_all_is_every_one() -> None:
    assert SearchSpec(model=("cnn", "mlp", "cnn")).model == ("cnn", "mlp")
    assert SearchSpec(model=("cnn", "all")).model == tuple(MODELS)
    assert SearchSpec(model=("nets:Net", "nets/net.py:Net")).model == ("nets:Net", "nets/net.py:Net")
    assert SearchSpec(model=("timm:resnet18", "torchvision:resnet18")).model == (
        "timm:resnet18",
        "torchvision:resnet18",
    )


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ((), "--model: choose from mlp, "),
        (("models.mynet:Net",), "--model models.mynet:Net: models is the name of a package of Podium's too"),
        (("a/net.py:Net", "b/net.py:Net"), "--model a/net.py:Net b/net.py:Net: two files give net.py:Net; rename one"),
        (("net.py",), "--model net.py: unknown; choose from mlp"),
        (
            ("torchvision:resnet81",),
            "--model torchvision:resnet81: torchvision has no such classifier; did you mean resnet18",
        ),
        (("cnn", "timm"), "--model timm: give timm:NAME, such as timm:resnet18"),
    ],
)
def test_wrong_architectures_are_one_line(model: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        SearchSpec(model=model)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_unknown_says_what_else_it_may_be() -> None:
    more = r"vgg16, all, or give torchvision:NAME, timm:NAME, MODULE:NAME or FILE\.py:NAME$"
    with pytest.raises(ValueError, match=more):
        SearchSpec(model=("cnnn",))


def test_without_a_budget_there_is_no_end() -> None:
    assert SearchSpec().budget_s == math.inf and SearchSpec(time_budget="1m").budget_s == 60
