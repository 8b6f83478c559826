from __future__ import annotations

import pytest
import torch
from torch import nn

from models import build_model
from models.layers import Dropout, Normalized, activation_layer, at_least, pooled_activation
from models.names import ACTIVATIONS

MNIST = (1, 28, 28)


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


def test_images_that_are_large_enough_pass() -> None:
    assert at_least("net", 4, (3, 4, 9)) == (3, 4, 9)
    with pytest.raises(ValueError, match=r"^net: needs images of at least 4x4, these are 9x3$"):
        at_least("net", 4, (1, 9, 3))


def test_a_normalized_network_takes_pixels() -> None:
    network = Normalized(nn.Flatten(), mean=[0.5, 0.1], std=[0.5, 0.2])
    pixels = torch.rand(3, 2, 4, 4)
    expected = torch.stack([(pixels[:, 0] - 0.5) / 0.5, (pixels[:, 1] - 0.1) / 0.2], 1)
    torch.testing.assert_close(network(pixels), expected.flatten(1))
    assert set(network.state_dict()) == {"mean", "std"}
