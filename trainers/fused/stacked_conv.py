"""Convolutions of several networks at once, forward and backward.

On a CPU they are one convolution of K groups. On a GPU there is another form, kernels/convolution.py, and which one is
faster depends on the shape. So each pass times both, once per process and shape, and uses the faster one.
`python tests/benchmarks/gpu.py --only forms` shows the times for the shapes of cnn and lenet5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

from trainers.faults import is_out_of_memory
from trainers.fused import kernels

TIMED_RUNS = 5  # of each form, after one that warms up

_fastest: dict[Any, str] = {}  # measured in this process: the form, by pass, device and shapes


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """Computes K convolutions of stride 1 at once, each of its own group of C channels.

    x: (N, K*C, height, width). weight: (K, O, C, size, size). bias: (K, O). Returns (N, K*O, ...).
    """
    if not x.is_cuda:
        return grouped(x, weight, bias, padding)
    dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else x.dtype
    y: Tensor = _Convolution.apply(x.to(dtype), weight, bias, padding)
    return y


class _Convolution(torch.autograd.Function):
    """Each pass in its faster form. x: in the precision of the computation, the others as the optimizer has them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding = padding
        return forward(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype), padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        (trials, maps, _, size, _), padding = weight.shape, ctx.padding
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            # The gradient of the images is a convolution too, of the padded gradient with the flipped kernels.
            flipped = weight.to(gradient.dtype).flip(3, 4).transpose(1, 2)
            of_x = forward(gradient, flipped, None, size - 1 - padding)
        if ctx.needs_input_grad[1]:
            of_weight = weight_gradient(x, gradient, size, padding, trials).to(weight.dtype)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3), dtype=weight.dtype).view(trials, maps)
        return of_x, of_weight, of_bias, None


def forward(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """Computes `convolve` in the faster form; a negative padding leaves out the edges."""
    forms = {form: partial(make, x, weight, bias, padding) for form, make in forward_forms().items()}
    return _run(("forward", bias is None, weight.shape[1:], padding), forms, x)


def weight_gradient(x: Tensor, gradient: Tensor, size: int, padding: int, trials: int) -> Tensor:
    """Returns the gradients of the weights (K, O, C, size, size) in the faster form.

    gradient: of the result, (N, K*O, ...). size: of the kernels.
    """
    forms = {form: partial(make, x, gradient, size, padding, trials) for form, make in gradient_forms().items()}
    return _run(("weight", gradient.shape[1] // trials, size, padding), forms, x)


def forward_forms() -> dict[str, Callable[..., Tensor]]:
    """Returns the forms of the forward pass by name."""
    if not kernels.available():
        return {"grouped": grouped}
    from trainers.fused.kernels import convolution

    return {"grouped": grouped, "kernel": convolution.convolution}


def gradient_forms() -> dict[str, Callable[..., Tensor]]:
    """Returns the forms of the weights' gradient by name."""
    if not kernels.available():
        return {"grouped": grouped_weight_gradient}
    from trainers.fused.kernels import convolution

    return {"grouped": grouped_weight_gradient, "kernel": convolution.weight_gradient}


def grouped(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """Computes `forward` as one convolution of K groups."""
    x, padding = _cropped(x, padding)
    return F.conv2d(x, weight.flatten(0, 1), bias.flatten() if bias is not None else None, 1, padding, 1, len(weight))


def grouped_weight_gradient(x: Tensor, gradient: Tensor, size: int, padding: int, trials: int) -> Tensor:
    """Computes `weight_gradient` as that of one convolution of K groups."""
    x, padding = _cropped(x, padding)
    shape = gradient.shape[1], x.shape[1] // trials, size, size
    flat: Tensor = conv2d_weight(x, shape, gradient, 1, padding, 1, trials)  # type: ignore[no-untyped-call]
    return flat.view(trials, -1, *shape[1:])


def _cropped(x: Tensor, padding: int) -> tuple[Tensor, int]:
    return (x, padding) if padding >= 0 else (x[:, :, -padding:padding, -padding:padding], 0)


def _run(key: tuple[Any, ...], forms: Mapping[str, Callable[[], Tensor]], x: Tensor) -> Tensor:
    """Computes a pass in its faster form. key: the pass, and what its time depends on beside x."""
    # Trials that end leave fewer of them; the faster form changes with their order of magnitude only.
    key = (*key, x.device, x.dtype, x.shape[0], x.shape[1].bit_length(), x.shape[2:])
    if len(forms) > 1 and key not in _fastest and not torch.cuda.is_current_stream_capturing():
        _fastest[key] = min(forms, key=lambda form: seconds(forms[form]))
    return forms[_fastest.get(key, "grouped")]()


def seconds(compute: Callable[[], Tensor]) -> float:
    """Returns the shortest time of a pass in one form, on the current CUDA device, as part of a CUDA graph.

    The result is infinite where the memory is not enough, or the form refuses these tensors.
    """
    try:
        with torch.no_grad():
            compute()  # warms up: libraries choose their kernels, Triton compiles its own
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                compute()
            return min([_replay_s(graph) for _ in range(1 + TIMED_RUNS)][1:])
    except (RuntimeError, ValueError) as error:
        if isinstance(error, ValueError) or is_out_of_memory(error):
            return math.inf
        raise


def _replay_s(graph: torch.cuda.CUDAGraph) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    begin.record()
    graph.replay()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1000
