from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from trainers.fused import stacked_conv
from trainers.fused.stacked_conv import convolve, grouped, seconds

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


def by_passes(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """As an accelerator computes it, on the CPU."""
    y: Tensor = stacked_conv._Convolution.apply(x, weight, bias, padding)
    return y


@pytest.fixture(autouse=True)
def nothing_measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    stacked_conv._fastest.clear()
    yield
    stacked_conv._fastest.clear()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("compute", [grouped, by_passes, convolve])
def test_it_is_a_convolution_for_each_trial(compute: Callable[..., Tensor], shape: tuple[int, ...]) -> None:
    x, weight, bias = inputs(shape)
    trials, padding = shape[0], shape[-1]
    y = compute(x, weight, bias, padding)
    expected = torch.cat(
        [F.conv2d(*each, padding=padding) for each in zip(x.chunk(trials, 1), weight, bias, strict=True)], 1
    )
    torch.testing.assert_close(y, expected)
    towards = torch.randn(y.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ours, theirs = (torch.autograd.grad((out * towards).sum(), (x, weight, bias)) for out in (y, expected))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("compute", [grouped, by_passes])
def test_a_trial_that_is_not_finite_stays_alone(compute: Callable[..., Tensor]) -> None:
    x, weight, bias = inputs(SHAPES[0])
    with torch.no_grad():
        weight[1] = torch.nan
    y = compute(x, weight, bias, 1)
    first, second, third = y.chunk(3, 1)
    assert second.isnan().all() and first.isfinite().all() and third.isfinite().all()
    of_x, of_weight = torch.autograd.grad(y.sum(), (x, weight))
    assert of_weight[0].isfinite().all() and of_weight[2].isfinite().all()
    assert of_x.chunk(3, 1)[0].isfinite().all() and of_x.chunk(3, 1)[2].isfinite().all()


def test_gradients_have_the_precision_of_the_weights() -> None:
    x, weight, bias = (value.detach().float().requires_grad_() for value in inputs(SHAPES[0]))
    y = by_passes(x.bfloat16(), weight, bias, 1)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), grouped(x, weight, bias, 1), atol=0.1, rtol=0.05)
    assert {value.dtype for value in torch.autograd.grad(y.float().sum(), (x, weight, bias))} == {torch.float32}


class Kernels:
    """The other form, which says when it runs."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def convolution(self, *inputs: Any) -> Tensor:
        self.ran.append("forward")
        return grouped(*inputs)

    def weight_gradient(self, *inputs: Any) -> Tensor:
        self.ran.append("weight")
        return stacked_conv.grouped_weight_gradient(*inputs)


@pytest.mark.parametrize("times", [{"grouped": 1.0, "kernel": 2.0}, {"grouped": 2.0, "kernel": 1.0}])
def test_each_pass_uses_the_faster_form_and_measures_once(
    times: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels, measured = Kernels(), list[Any]()

    def time_of(compute: Any) -> float:
        measured.append(compute)
        return times["kernel" if isinstance(getattr(compute.func, "__self__", None), Kernels) else "grouped"]

    for name, other in (("forward_forms", kernels.convolution), ("gradient_forms", kernels.weight_gradient)):
        forms = {**getattr(stacked_conv, name)(), "kernel": other}
        monkeypatch.setattr(stacked_conv, name, lambda forms=forms: forms)
    monkeypatch.setattr(stacked_conv, "seconds", time_of)
    x, weight, bias = inputs(SHAPES[0])
    for _ in range(2):
        by_passes(x, weight, bias, 1).sum().backward()
    # Forward, the images' gradient, the weights': two forms of each.
    assert len(measured) == 6
    assert kernels.ran == (["forward", "forward", "weight"] * 2 if times["kernel"] < times["grouped"] else [])


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"),
        ValueError("a tensor is too large for the kernels"),
    ],
    ids=str,
)
def test_a_form_that_is_not_possible_is_the_slowest(error: Exception) -> None:
    assert seconds(partial(_fail, error)) == math.inf


def test_a_form_that_fails_otherwise_says_so() -> None:
    with pytest.raises(RuntimeError, match="no kernel image"):
        seconds(partial(_fail, RuntimeError("no kernel image")))


def _fail(error: Exception) -> Tensor:
    raise error
