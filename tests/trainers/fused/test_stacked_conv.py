from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from trainers.fused.stacked_conv import Form, convolve, grouped, products, seconds

# trials, images, channels, side, maps, kernel, padding
SHAPES = [
    (3, 4, 2, 7, 5, 3, 1),
    (2, 4, 1, 8, 6, 5, 0),
    (4, 3, 6, 5, 2, 1, 0),
    (1, 3, 6, 5, 2, 3, 2),
    (2, 2, 3, 6, 4, 5, 4),
]


def inputs(shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    trials, images, channels, side, maps, kernel, _ = shape
    generator = torch.Generator().manual_seed(1)
    sizes = [(images, trials * channels, side, side), (trials, maps, channels, kernel, kernel), (trials, maps)]
    x, weight, bias = (torch.randn(size, generator=generator, dtype=torch.float64).requires_grad_() for size in sizes)
    return x, weight, bias


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", [grouped, products, convolve])
def test_each_form_is_a_convolution_for_each_lane(form: Form, shape: tuple[int, ...]) -> None:
    x, weight, bias = inputs(shape)
    trials, padding = shape[0], shape[-1]
    y = form(x, weight, bias, padding)
    expected = torch.cat(
        [F.conv2d(*each, padding=padding) for each in zip(x.chunk(trials, 1), weight, bias, strict=True)], 1
    )
    torch.testing.assert_close(y, expected)
    towards = torch.randn(y.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ours, theirs = (torch.autograd.grad((out * towards).sum(), (x, weight, bias)) for out in (y, expected))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("form", [grouped, products])
def test_a_trial_that_is_not_finite_stays_alone(form: Form) -> None:
    x, weight, bias = inputs(SHAPES[0])
    with torch.no_grad():
        weight[1] = torch.nan
    y = form(x, weight, bias, 1)
    first, second, third = y.chunk(3, 1)
    assert second.isnan().all() and first.isfinite().all() and third.isfinite().all()
    of_x, of_weight = torch.autograd.grad(y.sum(), (x, weight))
    assert of_weight[0].isfinite().all() and of_weight[2].isfinite().all()
    assert of_x.chunk(3, 1)[0].isfinite().all() and of_x.chunk(3, 1)[2].isfinite().all()


def test_products_run_in_the_precision_of_autocast() -> None:
    x, weight, bias = (value.detach().float() for value in inputs(SHAPES[0]))
    with torch.autocast("cpu", torch.bfloat16):
        y = products(x, weight, bias, 1)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), grouped(x, weight, bias, 1), atol=0.1, rtol=0.05)


@pytest.mark.parametrize("form", [grouped, products])
def test_a_form_can_be_timed_without_leaving_a_trace(form: Form) -> None:
    x, weight, _ = inputs(SHAPES[0])
    with torch.no_grad():
        assert 0 < seconds(x, weight, 1, form) < 1 and 0 < seconds(x.detach(), weight, 1, form) < 1
    assert 0 < seconds(x, weight, 1, form) < 1
    assert x.grad is None and weight.grad is None


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling")],
    ids=str,
)
def test_a_form_that_there_is_no_memory_for_is_the_slowest(error: Exception) -> None:
    def greedy(*_: object) -> Tensor:
        raise error

    x, weight, _ = inputs(SHAPES[0])
    assert seconds(x, weight, 1, greedy) == math.inf


def test_a_form_that_fails_otherwise_says_so() -> None:
    def wrong(*_: object) -> Tensor:
        raise RuntimeError("no kernel image")

    x, weight, _ = inputs(SHAPES[0])
    with pytest.raises(RuntimeError, match="no kernel image"):
        seconds(x, weight, 1, wrong)
