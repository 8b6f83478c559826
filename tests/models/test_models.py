from __future__ import annotations

import pytest
import torch
from torch import nn

from models import MODELS, build_model, count_parameters
from models.layers import Dropout, activation_layer, pooled_activation
from models.names import ACTIVATIONS
from models.summary import summarize

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
    assert len(counts) > len(published) // 2 and min(counts) == PARAMETERS[name]  # each of them makes it larger
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


@pytest.mark.parametrize("name", [name for name in SMALL if not name.startswith("compact")])
def test_dropout_is_where_it_should_be(name: str) -> None:
    parts = [part for part in build_model(name, MNIST, 10, dropout=0.25).modules() if isinstance(part, Dropout)]
    assert [part.p for part in parts] == [0.25] * (1 if name == "lenet5_bn" else 2)


@pytest.mark.parametrize("name", SMALL)
def test_architectures_follow_the_data(name: str) -> None:
    assert build_model(name, (3, 32, 40), 7)(torch.randn(2, 3, 32, 40)).shape == (2, 7)


def test_vgg16_takes_small_grey_images_and_draws_its_dropout_from_its_own_generator() -> None:
    with torch.device("meta"):
        model = build_model("vgg16", MNIST, 10, dropout=0.3)
        assert model(torch.empty(2, *MNIST)).shape == (2, 10)
        enlarge, network = model.children()
        assert enlarge(torch.empty(2, *MNIST)).shape == (2, 3, 32, 32)
        assert next(network.children())(torch.empty(2, 3, 32, 32)).shape == (2, 512, 1, 1)
    assert [part.p for part in model.modules() if isinstance(part, Dropout)] == [0.3, 0.3]
    assert not any(type(part) is nn.Dropout for part in model.modules())
    grey = torch.rand(2, 1, 40, 40)
    assert torch.equal(enlarge(grey), grey.repeat(1, 3, 1, 1))


@pytest.mark.parametrize(
    ("name", "side"), [("cnn", 3), ("lenet5", 15), ("cnn_dropout", 5), ("compact_7k", 21), ("compact_18k", 27)]
)
def test_images_too_small_are_refused(name: str, side: int) -> None:
    with pytest.raises(ValueError, match=f"{name}: needs images of at least .* these are {side}x{side}"):
        build_model(name, (1, side, side), 10)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_pooling_first_is_the_same_function(name: str) -> None:
    x = torch.randn(4, 3, 10, 10) * 3
    expected = nn.MaxPool2d(2)(activation_layer(name)(x))
    torch.testing.assert_close(nn.Sequential(*pooled_activation(name))(x), expected)


def test_pooling_first_is_not_the_same_for_activations_that_fall_before_they_rise() -> None:
    x = torch.randn(4, 3, 10, 10) * 3
    for name, pooled_first in [("gelu", False), ("silu", False), ("relu", True)]:
        layers = pooled_activation(name)
        assert isinstance(layers[0], nn.MaxPool2d) is pooled_first
        swapped = nn.Sequential(*layers[::-1])(x)
        assert torch.allclose(swapped, nn.Sequential(*layers)(x)) is pooled_first


def test_dropout_draws_from_its_own_generator() -> None:
    x, layer = torch.ones(10_000), Dropout(0.3)
    masks = []
    for disturb in (False, True):
        layer.use_random_generator(torch.Generator().manual_seed(1))
        if disturb:
            torch.rand(7)
        masks.append(layer(x))
    assert torch.equal(masks[0], masks[1])
    assert (masks[0] == 0).float().mean() == pytest.approx(0.3, abs=0.02)
    assert masks[0].mean() == pytest.approx(1.0, abs=0.03)
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize("p", [1e-9, 0.1, 0.5, 0.9, 1 - 1e-9])
def test_dropout_drops_every_element_as_often(p: float) -> None:
    layer = Dropout(p)
    layer.use_random_generator(torch.Generator().manual_seed(2))
    dropped = (layer(torch.ones(5, 40_001)) == 0).double()  # a size that four do not divide
    assert dropped.mean() == pytest.approx(p, abs=0.003)
    for places in (dropped.flatten()[:200_000].view(-1, 4), dropped[:, :40_000].reshape(-1, 4)):
        assert places.mean(0).tolist() == pytest.approx([p] * 4, abs=0.006)  # of the four numbers of one draw
        together = (places.T @ places / len(places)).fill_diagonal_(p**2)
        assert together.flatten().tolist() == pytest.approx([p**2] * 16, abs=0.01)  # and none hangs on another


def test_dropout_has_the_gradient_of_what_it_kept() -> None:
    layer, x = Dropout(0.4), torch.randn(30, 7, requires_grad=True)
    out = layer(x)
    out.sum().backward()
    torch.testing.assert_close(x.grad, out.detach() / x.detach())
    assert set(x.grad.ne(0).flatten().tolist()) == {True, False}


def test_wrong_activation_and_dropout_name_the_choices() -> None:
    with pytest.raises(ValueError, match="activation 'swish': choose from relu, leaky_relu"):
        build_model("mlp", MNIST, 10, activation="swish")
    with pytest.raises(ValueError, match=r"dropout 1\.0: must be at least 0 and under 1"):
        build_model("mlp", MNIST, 10, dropout=1.0)


@pytest.mark.parametrize(
    ("name", "least"), [("compact_190k", 14), ("compact_18k", 28), ("compact_6k", 28), ("compact_7k", 22)]
)
def test_the_least_side_is_the_least_that_works(name: str, least: int) -> None:
    assert build_model(name, (1, least, least), 10)(torch.randn(2, 1, least, least)).shape == (2, 10)


def test_a_summary_has_every_layer_with_its_shape_and_count() -> None:
    layers, parameters, flops = summarize("lenet5", MNIST, 10)
    assert parameters == 44_426 == sum(layer.parameters for layer in layers)
    assert layers[0].kind.startswith("Conv2d(1, 6") and layers[0].output == (6, 24, 24)
    assert layers[-1].output == (10,)
    convolutions = 24 * 24 * 6 * 25 + 8 * 8 * 16 * 150
    assert flops == 2 * (convolutions + 256 * 120 + 120 * 84 + 84 * 10)
