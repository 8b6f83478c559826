"""The Triton kernels, in Triton's interpreter (see conftest.py) where there is no GPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from trainers.fused.stacked_conv import grouped, grouped_weight_gradient

# trials, images, channels, side, maps, size, padding
SHAPES = [(3, 4, 2, 7, 5, 3, 1), (2, 4, 1, 8, 6, 5, 0), (2, 3, 40, 5, 70, 3, 1), (2, 3, 3, 8, 4, 3, -1)]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(scope="module")
def kernels() -> Any:
    return pytest.importorskip("trainers.fused.kernels.convolution", reason="PyTorch came without Triton")


def drawn(shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    trials, images, channels, side, maps, size, _ = shape
    sizes = [(images, trials * channels, side, side), (trials, maps, channels, size, size), (trials, maps)]
    generator = torch.Generator().manual_seed(1)
    x, weight, bias = (torch.randn(shape, generator=generator).to(DEVICE) for shape in sizes)
    return x, weight, bias


@pytest.mark.slow
@pytest.mark.gpu
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", SHAPES)
def test_they_are_convolutions(shape: tuple[int, ...], order: torch.memory_format, kernels: Any) -> None:
    (x, weight, bias), (trials, *_, size, padding) = drawn(shape), shape
    x = x.contiguous(memory_format=order)
    y = kernels.convolution(x, weight, bias, padding)
    exact = grouped(x.double(), weight.double(), bias.double(), padding)
    torch.testing.assert_close(y.double(), exact, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(kernels.convolution(x, weight, None, padding), y - bias.view(1, -1, 1, 1))
    towards = torch.randn(y.shape, generator=torch.Generator().manual_seed(2)).to(DEVICE)
    ours = kernels.weight_gradient(x, towards, size, padding, trials)
    theirs = grouped_weight_gradient(x.double(), towards.double(), size, padding, trials)
    torch.testing.assert_close(ours.double(), theirs, atol=1e-4, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.gpu
def test_a_sum_in_parts_is_the_sum(kernels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x, _, _ = drawn((1, 9, 1, 6, 2, 3, 1))
    towards = torch.ones(9, 2, 6, 6, device=DEVICE)
    results = []
    for programs in (1, 1024):
        monkeypatch.setattr(kernels, "PROGRAMS", programs)
        results.append(kernels.weight_gradient(x, towards, 3, 1, 1))
    torch.testing.assert_close(*results)


@pytest.mark.slow
@pytest.mark.gpu
def test_what_is_too_large_to_count_is_refused(kernels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, bias = drawn(SHAPES[0])
    monkeypatch.setattr(kernels, "MAX_ELEMENTS", x.numel())
    with pytest.raises(ValueError, match="a tensor of 1,176 elements is too large"):
        kernels.convolution(x, weight, bias, 1)


@pytest.mark.slow
@pytest.mark.gpu
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("shape", "size"), [((3, 5, 8, 6), 2), ((2, 20, 7, 7), 2), ((2, 3, 10, 11), 3)])
@pytest.mark.usefixtures("kernels")
def test_pooling_is_torchs(shape: tuple[int, ...], size: int, order: torch.memory_format) -> None:
    from trainers.fused.kernels.pooling import max_pool

    generator = torch.Generator().manual_seed(1)
    # Whole numbers: several pixels of a window are its maximum.
    x = torch.randint(-2, 3, shape, generator=generator).float().to(DEVICE).contiguous(memory_format=order)
    x[0, 1, 2, 3] = torch.nan
    ours, theirs = (x.clone().requires_grad_() for _ in range(2))
    y, expected = max_pool(ours, size), F.max_pool2d(theirs, size)
    torch.testing.assert_close(y, expected, equal_nan=True)
    towards = torch.randn(y.shape, generator=generator).to(DEVICE).contiguous(memory_format=order)
    y.backward(towards)
    expected.backward(towards)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=0)
