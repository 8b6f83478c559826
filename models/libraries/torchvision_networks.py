"""The classifiers of torchvision."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torchvision.models import MNASNet, VisionTransformer, get_model_builder, get_model_weights
from torchvision.models.vision_transformer import interpolate_embeddings
from torchvision.ops import StochasticDepth

from models.errors import ModelError
from models.libraries.stem import set_channels
from models.libraries.weights import WeightsFile

Size = tuple[int, int]
# Their outputs for the layers in the middle are for training alone, and would make theirs a tuple. Their pretrained
# weights want another normalization than ImageNet's, which they would compute in the network: see `normalization`.
_WITH_AUXILIARY_HEADS = ("googlenet", "inception_v3")
_PLAIN = {"aux_logits": False, "transform_input": False, "init_weights": True}
# Old files have denselayer1.norm.1.weight for what is now denselayer1.norm1.weight.
_OLD_DENSE_KEY = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)\.")


class _NumbersOnCpu(TorchFunctionMode):
    """Makes lists of numbers on the CPU: RegNet reads its widths from tensors, which have none on the meta device."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.arange, torch.tensor):
            kwargs.setdefault("device", "cpu")
        return func(*args, **kwargs)


class _AnyMNASNet(MNASNet):  # type: ignore[misc]
    """MNASNet that takes a state_dict without the version numbers that torch's own have: copies of it have none."""

    _load_from_state_dict = nn.Module._load_from_state_dict


def make(
    name: str, channels: int, size: Size, num_classes: int, rates: Mapping[str, float], weights: Path | None
) -> nn.Module:
    """Makes the classifier for images (N, channels, *size), see `Library`."""
    options: dict[str, Any] = {}
    if name.startswith("vit_"):
        if size[0] != size[1]:
            raise ModelError("takes square images")
        options["image_size"] = size[0]
    network = _made(name, num_classes=num_classes, **options)
    if isinstance(network, MNASNet):
        network.__class__ = _AnyMNASNet
    _set_rates(network, rates)
    if weights is not None:
        _load(network, name)
    set_channels(network, channels, keeps_filters=weights is not None)
    return network


@cache
def default_rates(name: str) -> dict[str, float]:
    """Returns torchvision's own rates, see `Library`."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        network = _made(name)
    kinds = {"dropout": nn.Dropout, "stochastic_depth": StochasticDepth}
    found = {key: _parts(network, kind) for key, kind in kinds.items()}
    return {key: max(part.p for part in parts) for key, parts in found.items() if parts}


def head(network: nn.Module) -> Iterable[nn.Module]:
    """Returns the last layer with weights: of all these networks, it gives the classes."""
    return (_parts(network, nn.Linear | nn.Conv2d)[-1],)


def sizes(name: str, size: Size) -> Iterator[Size]:
    """Yields larger sizes, see `Library`: whole patches, then the least size that torchvision's table has."""
    if name.startswith("vit_"):
        patch = int(name.rpartition("_")[2])
        yield (-(-max(size) // patch) * patch,) * 2
    (height, width), (at_least, _) = size, _default_weights(name).meta["min_size"]
    yield max(height, at_least), max(width, at_least)
    yield at_least, at_least


def weights_file(name: str) -> WeightsFile:
    """Returns the file of its best pretrained weights."""
    url: str = _default_weights(name).url
    return WeightsFile(url, url.rpartition("/")[2])


def normalization(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns the mean and standard deviation that its pretrained weights want."""
    if name in _WITH_AUXILIARY_HEADS:
        return (0.5,) * 3, (0.5,) * 3
    transforms = _default_weights(name).transforms()
    return tuple(transforms.mean), tuple(transforms.std)


def parameters(name: str) -> int:
    """Returns the number of parameters, with ImageNet's 1,000 classes, from torchvision's table."""
    return int(_default_weights(name).meta["num_params"])


def _set_rates(network: nn.Module, rates: Mapping[str, float]) -> None:
    """Sets the rate of all dropout layers; and of stochastic depth, which rises from block to block, that of the last
    block."""
    if "dropout" in rates:
        for part in _parts(network, nn.Dropout):
            part.p = rates["dropout"]
    if "stochastic_depth" in rates:
        blocks = _parts(network, StochasticDepth)
        factor = rates["stochastic_depth"] / max(block.p for block in blocks)
        for block in blocks:
            block.p *= factor


def _made(name: str, **options: Any) -> nn.Module:
    plain = _PLAIN if name in _WITH_AUXILIARY_HEADS else {}
    with _NumbersOnCpu() if name.startswith("regnet_") else nullcontext():
        network: nn.Module = get_model_builder(name)(weights=None, **plain, **options)
    return network


def _default_weights(name: str) -> Any:
    return get_model_weights(name).DEFAULT


def _load(network: nn.Module, name: str) -> None:
    """Loads everything but the head. Raises ModelError where the file holds other weights."""
    file = weights_file(name)
    found = {_OLD_DENSE_KEY.sub(r"\1\2.", key): value for key, value in file.read().items()}
    if isinstance(network, VisionTransformer):
        found = dict(interpolate_embeddings(network.image_size, network.patch_size, found))
    own = network.state_dict()
    (last,) = head(network)
    fresh = {f"{key}.{item}" for key, part in network.named_modules() if part is last for item in part.state_dict()}
    values: dict[str, Tensor] = {key: value for key, value in found.items() if key in own and key not in fresh}
    try:
        network.load_state_dict({**values, **{key: own[key] for key in fresh}})
    except RuntimeError as error:
        raise file.misfit() from error


def _parts(network: nn.Module, kind: Any) -> list[Any]:
    return [part for part in network.modules() if isinstance(part, kind)]
