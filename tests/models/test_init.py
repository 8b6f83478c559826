"""The registry of architectures, and what all of them have in common."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from models import (
    MODELS,
    REQUIRED,
    build_model,
    builder,
    count_parameters,
    hyperparameters,
    is_known,
    trainable_parameters,
)
from models.layers import Dropout, activation_layer
from models.names import ACTIVATIONS

MNIST = (1, 28, 28)


PARAMETERS = {
    "mlp": 109_386,
    "mlp_small": 45_846,
    "mlp_wide": 669_706,
    "cnn": 429_258,
    "cnn_dropout": 1_199_882,
    "cnn_deep": 3_797_962,
    "lenet5": 44_426,
    "lenet5_bn": 44_710,
    "compact_190k": 190_442,
    "compact_18k": 18_258,
    "compact_7k": 7_074,
    "compact_6k": 6_270,
    "tiny_8k": 7_610,
    "tiny_2k": 1_972,
    "resnet20": 272_186,
    "resnet18": 11_172_810,
    "vgg16": 134_301_514,
}
SMALL = [name for name in MODELS if name != "vgg16"]


def test_parameter_counts_are_the_published_ones() -> None:
    assert {name: count_parameters(name, MNIST, 10) for name in MODELS} == PARAMETERS


@pytest.mark.parametrize("name", [name for name, architecture in MODELS.items() if architecture.widths])
def test_widths_can_be_chosen_one_by_one(name: str) -> None:
    published = MODELS[name].widths
    counts = {PARAMETERS[name]}
    for number, width in enumerate(published, start=1):
        arch = {f"width_{number}": width + 1}
        counts.add(count_parameters(name, MNIST, 10, **arch))
        assert build_model(name, MNIST, 10, **arch)(torch.randn(2, *MNIST)).shape == (2, 10)
    assert min(counts) == PARAMETERS[name] and len(counts) > len(published) // 2  # each makes it larger, some alike
    ones = {f"width_{number}": 1 for number in range(1, len(published) + 1)}
    assert count_parameters(name, MNIST, 10, **ones) < PARAMETERS[name] / 8
    with pytest.raises(TypeError):
        build_model(name, MNIST, 10, **{f"width_{len(published) + 1}": 4})


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_architecture_takes_every_activation(name: str, activation: str) -> None:
    model = build_model(name, MNIST, 10, activation=activation)
    assert model(torch.randn(3, *MNIST)).shape == (3, 10)
    assert any(isinstance(part, type(activation_layer(activation))) for part in model.modules())


@pytest.mark.parametrize("name", [name for name in SMALL if not name.startswith(("compact", "tiny"))])
def test_dropout_is_where_it_should_be(name: str) -> None:
    parts = [part for part in build_model(name, MNIST, 10, dropout=0.25).modules() if isinstance(part, Dropout)]
    assert [part.p for part in parts] == [0.25] * (1 if name in ("lenet5_bn", "resnet20", "resnet18") else 2)


@pytest.mark.parametrize("name", SMALL)
def test_architectures_follow_the_data(name: str) -> None:
    assert build_model(name, (3, 32, 40), 7)(torch.randn(2, 3, 32, 40)).shape == (2, 7)


@pytest.mark.parametrize(
    ("name", "side"), [("cnn", 3), ("lenet5", 15), ("cnn_dropout", 5), ("compact_7k", 21), ("compact_18k", 27)]
)
def test_images_too_small_are_refused(name: str, side: int) -> None:
    with pytest.raises(ValueError, match=f"{name}: needs images of at least .* these are {side}x{side}"):
        build_model(name, (1, side, side), 10)


@pytest.mark.parametrize("name", MODELS)
def test_hyperparameters_are_those_of_the_builders_signature(name: str) -> None:
    own = {
        key: parameter.default
        for key, parameter in inspect.signature(builder(name)).parameters.items()
        if parameter.kind == parameter.KEYWORD_ONLY
    }
    widths = own.pop("widths", None)
    assert own == MODELS[name].hyperparameters and (widths is inspect.Parameter.empty) == bool(MODELS[name].widths)
    numbered = {f"width_{number}": width for number, width in enumerate(MODELS[name].widths, start=1)}
    assert hyperparameters(name) == {**own, **numbered}
    assert count_parameters(name, MNIST, 10, **hyperparameters(name)) == PARAMETERS[name]


def test_a_users_hyperparameters_are_what_its_callable_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "users_net.py").write_text(
        "def net(shape, classes, depth, *more, width: int = 8, norm=True, table=None, sizes=(1, 2), **others): ..."
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert is_known("users_net:net") and not is_known("users_net")
    assert hyperparameters("users_net:net") == {
        "depth": REQUIRED,
        "width": 8,
        "norm": True,
        "table": None,
        "sizes": (1, 2),
    }
    with pytest.raises(ValueError, match=r"^--model users_net:other: cannot be imported \(AttributeError"):
        hyperparameters("users_net:other")


def test_names_and_hyperparameters_need_no_torch() -> None:
    script = "import sys, models, models.names; models.hyperparameters('cnn'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_only_what_is_trained_is_counted() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 2).requires_grad_(False))
    assert trainable_parameters(network) == (3 * 2 + 2) + 2 * 2
