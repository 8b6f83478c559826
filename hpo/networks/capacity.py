"""What a network needs to be trained: memory, asked before anything is built, and images in a batch."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from hpo.system.errors import UserError
from models import MODELS, build_model, check_plug_in, count_parameters
from trainers.config import split_config
from trainers.data.dataset import Dataset
from trainers.data.free_memory import available_bytes, gigabytes

BYTES_OF_A_PARAMETER = 16  # as float32: its weight, its gradient and Adam's two moments
_ANYWHERE = 10**9  # bytes that any machine has: so that a GPU is only asked for its memory where that matters


def counted(name: str, dataset: Dataset, config: Mapping[str, Any], device: str | None, most: int | None = None) -> int:
    """The parameters of a configuration's network, a user's own being tried too.

    device: "cpu", "cuda", "mps" or "auto" where it will be trained on this machine, None where that is elsewhere. most:
    parameters that trials may have; a larger network is then counted and not trained. Raises ValueError, in one line,
    for a network that cannot be built, or that has no room in this machine's memory.
    """
    shape, classes, (_, arch) = dataset.input_shape, len(dataset.classes), split_config(config)
    if name not in MODELS:
        parameters = 0
        with suppress(Exception):  # what is wrong with it says check_plug_in, which takes memory
            parameters = count_parameters(name, shape, classes, **arch)
        _check_room(name, parameters, device)
        check_plug_in(name, shape, classes, **arch)
    parameters = count_parameters(name, shape, classes, **arch)
    if most is None or parameters <= most:
        _check_room(name, parameters, device)
    return parameters


def _check_room(name: str, parameters: int, device: str | None) -> None:
    needed = parameters * BYTES_OF_A_PARAMETER
    if device is None or needed < _ANYWHERE:
        return
    on_gpu = _largest_gpu() if device in ("auto", "cuda") else None
    room = available_bytes() if on_gpu is None else on_gpu
    if room is None or needed <= room:
        return
    there = f"{gigabytes(room)} are free" if on_gpu is None else f"a GPU here has {gigabytes(room)}"
    flag = "" if name in MODELS else "--model "
    raise UserError(
        f"{flag}{name}: has {parameters:,} parameters for these images, and to train them (float32, with gradients and "
        f"Adam's moments) takes {gigabytes(needed)} of memory, {there}; take smaller images or another architecture"
    )


def _largest_gpu() -> int | None:
    """Bytes of memory; None where there is no GPU."""
    import torch

    if not torch.cuda.is_available():
        return None
    return max(torch.cuda.get_device_properties(n).total_memory for n in range(torch.cuda.device_count()))


def least_batch(model: str, dataset: Dataset, arch: Mapping[str, Any]) -> int:
    """Images that a training step of the architecture needs: batch normalization has no variance of one alone."""
    import torch

    from trainers.ddp import images_needed

    with torch.device("meta"):
        return images_needed(build_model(model, dataset.input_shape, len(dataset.classes), **arch))
