"""What the training of a network needs: memory, checked before anything is built, and images in a batch."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from hpo.system.errors import UserError
from hpo.views.formats import number
from models import build_model, check_plug_in, count_parameters, is_built_in
from trainers.config import split_config
from trainers.data.dataset import Dataset
from trainers.data.free_memory import available_bytes, gigabytes
from trainers.ddp import images_needed

BYTES_PER_PARAMETER = 16  # float32: the weight, its gradient and Adam's two moments
BYTES_PER_AVERAGED = 4  # more, where the weights are averaged too (ema)
_ALWAYS_FREE = 10**9  # bytes that any machine has; smaller networks do not make us query the GPU


def counted(name: str, dataset: Dataset, config: Mapping[str, Any], device: str | None, most: int | None = None) -> int:
    """Counts the parameters of a configuration's network. A user's own architecture is tried as well.

    `device` is the device of this machine that will train it ("cpu", "cuda", "mps" or "auto"), or None when another
    machine will. `most` is the limit on parameters: a larger network is counted, but never trained. Raises UserError or
    ModelError for a network that cannot be built, or that this machine's memory cannot hold.
    """
    shape, classes, (_, arch) = dataset.input_shape, len(dataset.classes), split_config(config)
    if not is_built_in(name):
        parameters = 0
        with suppress(Exception):  # check_plug_in says what is wrong, but needs memory for it
            parameters = count_parameters(name, shape, classes, **arch)
        _check_room(name, parameters, device, bool(config.get("ema")))
        check_plug_in(name, shape, classes, **arch)
    parameters = count_parameters(name, shape, classes, **arch)
    if most is None or parameters <= most:
        _check_room(name, parameters, device, bool(config.get("ema")))
    return parameters


def _check_room(name: str, parameters: int, device: str | None, is_averaged: bool) -> None:
    needed = parameters * (BYTES_PER_PARAMETER + (BYTES_PER_AVERAGED if is_averaged else 0))
    if device is None or needed < _ALWAYS_FREE:
        return
    on_gpu = _largest_gpu() if device in ("auto", "cuda") else None
    room = available_bytes() if on_gpu is None else on_gpu
    if room is None or needed <= room:
        return
    there = f"{gigabytes(room)} are free" if on_gpu is None else f"the GPU has {gigabytes(room)}"
    flag = "" if is_built_in(name) else "--model "
    parts = "gradients, Adam's moments and averaged weights" if is_averaged else "gradients and Adam's moments"
    raise UserError(
        f"{flag}{name}: has {number(parameters)} parameters for these images; training it (float32, with {parts}) "
        f"takes {gigabytes(needed)} of memory, and {there}; use smaller images or another architecture"
    )


def _largest_gpu() -> int | None:
    """Bytes of memory of the largest GPU; None without a GPU."""
    import torch

    if not torch.cuda.is_available():
        return None
    return max(torch.cuda.get_device_properties(n).total_memory for n in range(torch.cuda.device_count()))


def least_batch(model: str, dataset: Dataset, arch: Mapping[str, Any]) -> int:
    """The smallest batch that the architecture can train on: batch normalization needs more than one image."""
    import torch

    with torch.device("meta"):
        return images_needed(build_model(model, dataset.input_shape, len(dataset.classes), **arch))
