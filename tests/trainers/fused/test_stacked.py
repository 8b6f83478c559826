"""Which networks can be stacked, and the layers whose stacked form draws random numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from models import build_model
from tests.helpers.fusing import FUSIBLE
from trainers.fused.stacked import StackedNet, _dropout, is_stackable

Make = Callable[[], nn.Module]


def make(name: str, **arch: float) -> Make:
    return partial(build_model, name, (1, 28, 28), 10, **arch)


def stacked(*makes: Make) -> StackedNet:
    generator = torch.Generator().manual_seed(0)
    return StackedNet([each() for each in makes], lambda shape: torch.rand(tuple(shape), generator=generator))


def test_dropout_drops_what_it_should_and_keeps_the_mean() -> None:
    net = stacked(*(make("mlp_small", dropout=rate) for rate in (0.0, 0.6)))
    x = torch.ones(2, 500, 40)
    name = next(iter(net.rates))
    y = _dropout(net, name, nn.Identity(), x, training=True)
    assert torch.equal(y[0], x[0]) and y[1].mean() == pytest.approx(1, abs=0.05)
    assert (y[1] == 0).double().mean() == pytest.approx(0.6, abs=0.02)
    assert torch.equal(_dropout(net, name, nn.Identity(), x, training=False), x)


@pytest.mark.parametrize("name", FUSIBLE)
def test_what_says_it_can_be_stacked_is_a_plain_sequential(name: str) -> None:
    assert is_stackable(make(name)())


def shared_layer() -> nn.Module:
    activation = nn.ReLU()
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 20), activation, nn.Linear(20, 10), activation)


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(make("vgg16"), id="nested", marks=pytest.mark.slow),
        shared_layer,
        lambda: nn.Linear(784, 10),
        lambda: nn.Sequential(nn.Conv2d(1, 8, 3, stride=2), nn.Flatten(), nn.Linear(1352, 10)),
        lambda: nn.Sequential(nn.Conv2d(1, 8, 3, padding="same"), nn.Flatten(), nn.Linear(6272, 10)),
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10).requires_grad_(False)),
        lambda: nn.Sequential(nn.Flatten(), nn.LayerNorm(784), nn.Linear(784, 10)),
    ],
)
def test_other_networks_are_not_stacked(network: Make) -> None:
    assert not is_stackable(network())
    with pytest.raises(ValueError, match="cannot be stacked"):
        stacked(network, network)


def test_it_computes_what_each_network_does_and_keeps_the_ones_that_are_named() -> None:
    networks = [make("lenet5_bn")() for _ in range(3)]
    net, images = StackedNet(networks, torch.rand), torch.randn(5, 3, 28, 28)
    expected = [network.eval()(images[:, trial : trial + 1]) for trial, network in enumerate(networks)]
    torch.testing.assert_close(net(images, training=False), torch.stack(expected))
    net.keep([2, 0])
    torch.testing.assert_close(net(images[:, [2, 0]], training=False), torch.stack([expected[2], expected[0]]))
    assert net.trials == 2
    for name, value in networks[0].state_dict().items():
        assert torch.equal(net.state(1)[name], value)


def test_weights_of_another_architecture_are_refused() -> None:
    net = stacked(make("mlp_small"), make("mlp_small"))
    net.load(1, (state := make("mlp_small")().state_dict()))
    assert all(torch.equal(value, state[name]) for name, value in net.state(1).items())
    with pytest.raises(RuntimeError, match="another architecture"):
        net.load(0, make("mlp")().state_dict())
