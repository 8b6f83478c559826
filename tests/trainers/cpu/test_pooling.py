from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models import MODELS, build_model
from models.layers import activation_layer, pooled_activation
from models.names import ACTIVATIONS
from trainers.cpu.native import kernels
from trainers.cpu.pooling import Pool2d, PooledConv2d, fuse_pooling

pytestmark = pytest.mark.skipif(kernels() is None, reason="no C++ compiler here")


def both(network: nn.Module) -> tuple[nn.Module, nn.Module]:
    """The network, and a copy of it with fused poolings."""
    network = network.to(memory_format=torch.channels_last)
    return network, fuse_pooling(copy.deepcopy(network), threads=1)


def kinds(network: nn.Module) -> list[type[nn.Module]]:
    return [type(part) for part in network.children()]


Result = tuple[torch.Tensor, list[torch.Tensor]]  # an output, and the gradients


def gradients(network: nn.Module, images: torch.Tensor) -> Result:
    network.zero_grad()
    output = network(images)
    (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum().backward()
    return output.detach(), [p.grad for p in network.parameters() if p.grad is not None]


def assert_same(plain: nn.Module, fused: nn.Module, images: torch.Tensor) -> None:
    expected, wanted = gradients(plain, images)
    output, grads = gradients(fused, images)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)
    assert len(grads) == len(wanted) > 0
    for grad, want in zip(grads, wanted, strict=True):
        torch.testing.assert_close(grad, want, rtol=1e-3, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    channels=st.integers(1, 4),
    outputs=st.sampled_from([1, 6, 16, 17, 32]),
    side=st.sampled_from([3, 5]),
    padding=st.integers(0, 2),
    size=st.tuples(st.integers(6, 13), st.integers(6, 13)),
    bias=st.booleans(),
    activation=st.sampled_from(ACTIVATIONS),
    seed=st.integers(0, 99),
)
def test_a_first_convolution_gives_the_same_and_learns_the_same(  # noqa: PLR0913 - one for each thing that varies
    channels: int, outputs: int, side: int, padding: int, size: tuple[int, int], bias: bool, activation: str, seed: int
) -> None:
    torch.manual_seed(seed)
    conv = nn.Conv2d(channels, outputs, side, padding=padding, bias=bias)
    plain, fused = both(nn.Sequential(conv, *pooled_activation(activation)))
    assert kinds(fused)[0] is PooledConv2d
    images = torch.randn(3, channels, *size)
    images[0] = 0  # all four candidates are equal: the first is chosen
    assert_same(plain, fused, images)


@settings(max_examples=30, deadline=None)
@given(
    channels=st.sampled_from([5, 16, 24]),
    outputs=st.sampled_from([3, 16, 33]),
    size=st.tuples(st.integers(4, 9), st.integers(4, 9)),
    beside=st.sampled_from(["none", "after", "gelu after", *ACTIVATIONS]),
    seed=st.integers(0, 99),
)
def test_a_pooling_within_gives_the_same_and_learns_the_same(
    channels: int, outputs: int, size: tuple[int, int], beside: str, seed: int
) -> None:
    torch.manual_seed(seed)
    pool = nn.MaxPool2d(2)
    tails = {"none": [pool], "after": [pool, nn.ReLU()], "gelu after": [pool, nn.GELU()]}
    tail = tails[beside] if beside in tails else [activation_layer(beside), pool]
    layers = [nn.Conv2d(channels, outputs, 3), nn.BatchNorm2d(outputs), nn.Hardswish()]
    plain, fused = both(nn.Sequential(nn.Conv2d(2, channels, 1), *layers, *tail, nn.Flatten()))
    assert kinds(fused)[4] is Pool2d
    assert_same(plain, fused, torch.randn(3, 2, *size))


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"vgg16"}))
def test_every_architecture_keeps_its_function_and_its_names(name: str) -> None:
    torch.manual_seed(1)
    plain, fused = both(build_model(name, (1, 28, 28), 10))
    assert list(fused.state_dict()) == list(plain.state_dict())
    fused.load_state_dict(plain.state_dict())
    plain.eval(), fused.eval()  # dropout draws otherwise
    assert_same(plain, fused, torch.randn(4, 1, 28, 28))
    with torch.inference_mode():
        torch.testing.assert_close(fused(torch.ones(2, 1, 28, 28)), plain(torch.ones(2, 1, 28, 28)))


@pytest.mark.parametrize(
    ("name", "expected"), [("cnn", {PooledConv2d, Pool2d}), ("lenet5_bn", {Pool2d}), ("mlp", set())]
)
def test_what_is_fused(name: str, expected: set[type]) -> None:
    fused = fuse_pooling(build_model(name, (1, 28, 28), 10), threads=1)
    assert set(kinds(fused)) & {PooledConv2d, Pool2d} == expected


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("name", ["cnn", "lenet5"])
def test_bf16_is_as_near_to_float32_as_in_pytorch(name: str, activation: str) -> None:
    """Rounding decides which of two candidates wins: only the errors' sizes can be compared. The gradients of ReLU are
    left out: a single unit that rounding turns off weighs more than all that is tested here."""
    theirs, ours = torch.zeros(2), torch.zeros(2)
    for seed in range(4):
        torch.manual_seed(seed)
        plain, fused = both(build_model(name, (1, 28, 28), 10, activation=activation))
        images = torch.randn(64, 1, 28, 28)
        exact = gradients(plain, images)
        with torch.autocast("cpu", torch.bfloat16):
            assert fused[0](images).dtype == fused(images).dtype == torch.bfloat16
            theirs, ours = (
                theirs + errors(gradients(plain, images), exact),
                ours + errors(gradients(fused, images), exact),
            )
    assert (ours < 1.1 * theirs)[: 1 if activation == "relu" else 2].all()


def errors(rounded: Result, exact: Result) -> torch.Tensor:
    """Of the output, and of all gradients; each relative to its size."""
    grads = sum(float((a - b).norm() / b.norm()) for a, b in zip(rounded[1], exact[1], strict=True))
    return torch.tensor([float((rounded[0] - exact[0]).norm() / exact[0].norm()), grads])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_passes_as_in_pytorch(value: float) -> None:
    plain, fused = both(nn.Sequential(nn.Identity(), nn.MaxPool2d(2), nn.ReLU()))
    values = torch.arange(2 * 16 * 16.0).view(2, 1, 16, 16).repeat(1, 20, 1, 1) - 100
    values[0, 3, 4:7, 5:9] = value
    valley, fused_valley = both(nn.Sequential(nn.Identity(), nn.GELU(), nn.MaxPool2d(2)))
    assert torch.equal(fused_valley(values).isfinite(), valley(values).isfinite())
    assert torch.equal(torch.nan_to_num(fused(values), 7.0), torch.nan_to_num(plain(values), 7.0))
    conv, fused_conv = both(nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.ReLU()))
    assert torch.equal(fused_conv(values[:, 3:4]).isnan(), conv(values[:, 3:4]).isnan())


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_activations_are_torchs_to_the_last_digits(name: str) -> None:
    """Value and slope, from where they vanish to where they are straight, and of tiny arguments too."""
    layer = activation_layer(name)
    scale = torch.logspace(-6, 1.9, 400)
    values = torch.cat([-scale.flip(0), torch.zeros(1), scale])
    plain, fused = values.clone().requires_grad_(), values.clone().requires_grad_()
    expected = layer(plain)
    expected.sum().backward()
    four = fused.view(1, 1, -1, 1).repeat(1, 1, 1, 2).repeat_interleave(2, dim=2)  # each one four times
    output = Pool2d(layer, nn.MaxPool2d(2))(four).flatten()
    output.sum().backward()
    torch.testing.assert_close(output, expected, rtol=2e-6, atol=1e-6)
    torch.testing.assert_close(fused.grad, plain.grad, rtol=2e-6, atol=1e-6)


def test_images_that_need_a_gradient_get_it() -> None:
    plain, fused = both(build_model("cnn", (1, 28, 28), 10))
    images = torch.randn(2, 1, 28, 28)
    grads = []
    for network in (plain, fused):
        asked = images.clone().requires_grad_()
        network(asked).sum().backward()
        grads.append(asked.grad)
    assert grads[0] is not None and grads[1] is not None
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-3, atol=1e-5)


class Custom(nn.Module):
    """A network whose forward pass uses the parts of its own sequence one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.body[1](self.body[0](x))
        return out


def test_what_may_be_called_otherwise_stays() -> None:
    custom = Custom()
    assert kinds(fuse_pooling(custom, 1).body) == [nn.Conv2d, nn.MaxPool2d, nn.ReLU]  # type: ignore[arg-type]
    assert kinds(fuse_pooling(nn.Sequential(Custom()), 1)[0].body) == [nn.Conv2d, nn.MaxPool2d, nn.ReLU]  # type: ignore[index]
    inplace = nn.Sequential(nn.Conv2d(1, 4, 3), nn.SiLU(inplace=True), nn.MaxPool2d(2))
    plain, fused = both(inplace)
    assert_same(plain, fused, torch.randn(2, 1, 9, 9))
    active = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
    active[1].register_forward_hook(lambda *_: None)
    assert type(fuse_pooling(active, 1)[1]) is nn.ReLU  # type: ignore[index]
    hooked = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2))
    hooked[0].register_forward_hook(lambda *_: None)
    assert type(fuse_pooling(hooked, 1)[0]) is nn.Conv2d  # type: ignore[index]
    assert nn.MaxPool2d in kinds(fuse_pooling(nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(3)), 1))
    assert nn.MaxPool2d in kinds(fuse_pooling(nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2)), threads=8))


def test_a_sequence_within_a_sequence() -> None:
    torch.manual_seed(0)
    block = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2))
    second = nn.Sequential(nn.Conv2d(8, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    plain, fused = both(nn.Sequential(block, second))
    assert list(fused.state_dict()) == list(plain.state_dict())
    assert [kinds(part)[:2] for part in fused.children()] == [[PooledConv2d, nn.Identity], [nn.Conv2d, Pool2d]]
    assert_same(plain, fused, torch.randn(2, 1, 14, 14))


def test_images_too_small_fail_as_before() -> None:
    _, fused = both(nn.Sequential(nn.Conv2d(1, 4, 5), nn.MaxPool2d(2)))
    with pytest.raises(RuntimeError, match="size"):
        fused(torch.zeros(1, 1, 5, 5))


def test_what_the_kernels_are_not_made_for_goes_to_pytorch() -> None:
    plain, fused = both(
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.MaxPool2d(2))
    )
    torch.testing.assert_close(fused(torch.ones(1, 12, 12)), plain(torch.ones(1, 12, 12)))  # no batch
    double = torch.ones(2, 1, 12, 12, dtype=torch.float64)
    torch.testing.assert_close(fused.double()(double), plain.double()(double))
    plain, fused = plain.bfloat16(), fused.bfloat16()
    torch.testing.assert_close(fused(double.bfloat16()), plain(double.bfloat16()))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(fused(double.float()), plain(double.float()))
