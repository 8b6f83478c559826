"""What a user's architecture is called with."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from models import build_model, check_plug_in, hyperparameters
from models.errors import ModelError
from models.own import adapted

SHAPE = (3, 8, 8)


def called(make: Any, **arch: Any) -> Any:
    return adapted(make)(SHAPE, 7, **arch)


def test_a_shape_and_a_number_are_podiums() -> None:
    def make(shape: Any, classes: Any, *, width: int = 4) -> Any:
        return shape, classes, width

    assert adapted(make) is make and called(make, width=9) == (SHAPE, 7, 9)
    assert called(lambda *args: args) == (SHAPE, 7)
    assert called(lambda shape=(1, 28, 28), classes=10, *, width=8: (shape, classes, width)) == (SHAPE, 7, 8)
    assert called(lambda shape, num_classes=10: (shape, num_classes)) == (SHAPE, 7)


@pytest.mark.parametrize(
    ("make", "expected", "others"),
    [
        (lambda: (), (), []),
        (lambda num_classes=10: num_classes, 7, []),
        (lambda in_channels, num_classes: (in_channels, num_classes), (3, 7), []),
        (lambda num_classes, in_channels=1, width=8: (num_classes, in_channels, width), (7, 3, 8), ["width"]),
        (lambda width=8, dropout=0.1: (width, dropout), (8, 0.1), ["width", "dropout"]),
        (lambda input_shape, dropout=0.1: (input_shape, dropout), (SHAPE, 0.1), ["dropout"]),
        (lambda width=8, *, num_classes: (width, num_classes), (8, 7), ["width"]),
        (lambda depth=2, in_channels=1, num_classes=10: (depth, in_channels, num_classes), (2, 3, 7), ["depth"]),
    ],
)
def test_the_others_get_what_they_name(make: Any, expected: Any, others: list[str]) -> None:
    assert called(make) == expected
    assert list(inspect.signature(adapted(make)).parameters)[2:] == others


def test_a_usual_class_is_an_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from torch import nn\nclass Net(nn.Sequential):\n    def __init__(self, width=8, dropout=0.1):\n        "
    text += "super().__init__(nn.Flatten(), nn.Linear(192, width), nn.Dropout(dropout), nn.Linear(width, 7))\n"
    (tmp_path / "usual.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    name = "usual.py:Net"
    assert hyperparameters(name) == {"width": 8, "dropout": 0.1}
    network = build_model(name, SHAPE, 7, width=5)
    assert isinstance(network[1], nn.Linear) and network[1].out_features == 5  # type: ignore[index]
    check_plug_in(name, SHAPE, 7)
    with pytest.raises(ModelError, match=r"returns \(2, 7\) for 2 images; must return \(2, 10\)"):
        check_plug_in(name, SHAPE, 10)
