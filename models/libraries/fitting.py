"""Fits a library's network to images and classes: channels, stem, size, and what of it is trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.errors import ModelError
from models.libraries.stem import shrink_stem
from models.libraries.weights import WeightsFile

SMALL_IMAGES = 64  # pixels of the shorter side, under which a stem made for 224 leaves little to the layers behind it
Size = tuple[int, int]  # height, width
TRIED_IMAGES, TRIED_CLASSES = 2, 3


class Library(Protocol):
    """What a module of this folder offers for its library. name: of a network, as the library calls it."""

    def make(
        self,
        name: str,
        channels: int,
        size: Size,
        num_classes: int,
        rates: Mapping[str, float],
        weights: Path | None,
    ) -> nn.Module:
        """Makes a network with the library's own stem for images (N, channels, *size).

        rates: of `dropout` and `stochastic_depth`, where they are not the library's own. weights: a file of pretrained
        ones; None for random ones.
        """
        ...

    def default_rates(self, name: str) -> dict[str, float]:
        """Returns the library's own values of `dropout` and `stochastic_depth`, where the network has such layers."""
        ...

    def head(self, network: nn.Module) -> Iterable[nn.Module]:
        """Returns the layers that give the classes."""
        ...

    def sizes(self, name: str, size: Size) -> Iterator[Size]:
        """Yields sizes of images that the network may take where it does not take this one, the best first."""
        ...

    def weights_file(self, name: str) -> WeightsFile:
        """Returns the file of its pretrained weights; raises ModelError where there is none."""
        ...

    def normalization(self, name: str) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Returns the mean and standard deviation that its pretrained weights want; None where there are none."""
        ...


class Fitting(NamedTuple):
    """A network that is asked for."""

    name: str
    """As the library calls it."""
    input_shape: tuple[int, int, int]
    num_classes: int
    stem: str
    pretrained: str


class Resize(nn.Module):
    """Resizes images, bilinearly: (N, C, H, W) to (N, C, *size)."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        return F.interpolate(images, size=self.size, mode="bilinear", align_corners=False)

    def extra_repr(self) -> str:
        return f"{self.size[0]}, {self.size[1]}"


def fitted_network(library: Library, wanted: Fitting, rates: Mapping[str, float]) -> nn.Module:
    """Makes the network that is `wanted`, in a sequence behind a resizing where it needs larger images.

    Raises ModelError where it takes no images of this shape, or its weights are not there.
    """
    is_pretrained = wanted.pretrained != "none"
    small, size = _fit(library, wanted.name, wanted.input_shape, wanted.stem, is_pretrained)  # type: ignore[arg-type]
    channels = wanted.input_shape[0]
    # On the meta device, where parameters are only counted, there is nothing to load into.
    loads = is_pretrained and torch.get_default_device().type != "meta"
    weights = library.weights_file(wanted.name).fetch() if loads else None
    network = library.make(wanted.name, channels, size, wanted.num_classes, rates, weights)
    if small:
        shrink_stem(network, keeps_filters=is_pretrained)
    if wanted.pretrained == "head":
        _train_only(network, library.head(network))
    return network if size == wanted.input_shape[1:] else nn.Sequential(Resize(size), network)


@cache
def _fit(library: Library, name: str, shape: tuple[int, int, int], stem: str, is_pretrained: bool) -> tuple[bool, Size]:
    """Finds whether the stem is the small one, and the size of images that the network then takes: by trying it on the
    meta device, once in a process. Raises ModelError."""
    channels, own = shape[0], shape[1:]
    reason = ""
    # Trying must leave no trace in the random numbers: a network is the same whether it was tried before or not.
    with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad():
        for is_small, size in _tries(stem, is_pretrained, (own, *library.sizes(name, own))):
            if not (reason := _refusal(library, name, (channels, *size), is_small)):
                return is_small, size
    if stem == "small":
        raise ModelError(f"stem=small does not apply ({reason}); choose auto or full")
    raise ModelError(f"takes no images of {own[0]}x{own[1]} pixels ({reason})")


def _tries(stem: str, is_pretrained: bool, sizes: Sequence[Size]) -> Iterator[tuple[bool, Size]]:
    """Yields (whether the stem is the small one, size of images) in the order in which they are tried; sizes: that of
    the images first."""
    if stem == "small":
        yield from ((True, size) for size in sizes)
        return
    if stem == "auto" and min(sizes[0]) < SMALL_IMAGES and not is_pretrained:
        yield True, sizes[0]
    yield from ((False, size) for size in sizes)


def _refusal(library: Library, name: str, shape: tuple[int, int, int], is_small: bool) -> str:
    """Says why the network does not take such images; "" where it does."""
    channels, *size = shape
    try:
        network = library.make(name, channels, (size[0], size[1]), TRIED_CLASSES, {}, None)
        if is_small:
            shrink_stem(network, keeps_filters=False)
        output = network.eval()(torch.empty(TRIED_IMAGES, *shape))  # BatchNorm is slow in training mode there
    except ModelError as error:
        return str(error)
    except Exception as error:  # whatever a library raises for images that it does not take
        return " ".join(f"{type(error).__name__}: {error}".split())[:200]
    found = tuple(getattr(output, "shape", ()))
    return "" if found == (TRIED_IMAGES, TRIED_CLASSES) else f"it returns {found or type(output).__name__}"


def _train_only(network: nn.Module, head: Iterable[nn.Module]) -> None:
    """Freezes everything but the head: parameters, and the statistics of BatchNorm."""
    network.requires_grad_(False)
    for part in head:
        part.requires_grad_(True)
    network.register_forward_pre_hook(_keep_statistics)


def _keep_statistics(network: nn.Module, _: object) -> None:
    """Puts frozen BatchNorm layers, which network.train() has put into training mode, back into evaluation mode."""
    for part in network.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and not any(p.requires_grad for p in part.parameters()):
            part.eval()
