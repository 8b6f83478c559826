"""The classifiers of timm, PyTorch Image Models (Wightman, 2019)."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import hf_hub_url, try_to_load_from_cache
from torch import nn

from models.errors import ModelError
from models.libraries.weights import WeightsFile

Size = tuple[int, int]
WEIGHTS = "model.safetensors"  # in a network's repository on the Hugging Face hub
OPTIONS = {"dropout": "drop_rate", "stochastic_depth": "drop_path_rate"}
WHOLE = 32  # pixels: what most networks divide the sides of images by


def make(
    name: str, channels: int, size: Size, num_classes: int, rates: Mapping[str, float], weights: Path | None
) -> nn.Module:
    """Makes the classifier for images (N, channels, *size), see `Library`."""
    config = timm.get_pretrained_cfg(name)
    options: dict[str, Any] = {OPTIONS[key]: rate for key, rate in rates.items()}
    if config is not None and config.fixed_input_size and size != tuple(config.input_size[1:]):
        options["img_size"] = size
    if weights is not None:
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"file": str(weights), "custom_load": False}}
    try:
        network: nn.Module = timm.create_model(name, in_chans=channels, num_classes=num_classes, **options)
    except Exception as error:
        if weights is None:
            raise
        raise weights_file(name).misfit() from error
    return network


@cache
def default_rates(name: str) -> dict[str, float]:
    """Returns timm's own rates, see `Library`."""
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            network = timm.create_model(name)
    except RuntimeError as error:  # such as an unknown tag
        raise ModelError(f"timm:{name}: {' '.join(str(error).split())}") from error
    # Also those of base classes, which a network's own hands on as **kwargs.
    kinds = [kind for kind in reversed(type(network).__mro__) if issubclass(kind, nn.Module)]
    taken = {key: parameter.default for kind in kinds for key, parameter in inspect.signature(kind).parameters.items()}
    own = {key: getattr(network, option, taken[option]) for key, option in OPTIONS.items() if option in taken}
    return {key: float(value or 0.0) for key, value in own.items()}


def head(network: nn.Module) -> Iterable[nn.Module]:
    """Returns the layers that give the classes."""
    found = network.get_classifier()  # type: ignore[operator]
    return found if isinstance(found, tuple | list) else (found,)


def sizes(name: str, size: Size) -> Iterator[Size]:
    """Yields larger sizes, see `Library`: multiples of 32, then the size that the network was made for."""
    height, width = (-(-side // WHOLE) * WHOLE for side in size)
    yield height, width
    yield max(height, width), max(height, width)
    if config := timm.get_pretrained_cfg(name):
        yield config.input_size[1], config.input_size[2]


def weights_file(name: str) -> WeightsFile:
    """Returns the file of its pretrained weights. Raises ModelError where timm has none of them."""
    config = timm.get_pretrained_cfg(name)
    if config is not None and config.hf_hub_id:
        repository, file = str(config.hf_hub_id), config.hf_hub_filename or WEIGHTS
        cached = try_to_load_from_cache(repository, file)
        elsewhere = Path(cached) if isinstance(cached, str) else None
        return WeightsFile(hf_hub_url(repository, file), f"timm-{name}{Path(file).suffix}", elsewhere)
    if config is not None and isinstance(config.url, str):
        return WeightsFile(config.url, config.url.rpartition("/")[2])
    raise ModelError("timm has no pretrained weights of it; choose pretrained=none")


def normalization(name: str) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Returns the mean and standard deviation that its pretrained weights want; None where there are none."""
    config = timm.get_pretrained_cfg(name)
    return None if config is None or not config.has_weights else (tuple(config.mean), tuple(config.std))
