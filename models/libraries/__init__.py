"""Networks of libraries: torchvision:NAME and timm:NAME, fitted to the images and classes of a data set.

A name is checked, and listed, without an import of the library; everything else imports it when it is asked for.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from models.errors import ModelError
from models.libraries.listing import EXTRAS, LIBRARIES, names
from models.names import PRETRAINED, STEMS

if TYPE_CHECKING:
    from torch import nn

    from models.libraries.fitting import Library

__all__ = ["LIBRARIES", "build", "check_name", "fetch", "hyperparameters", "is_library", "names", "normalization"]


def is_library(name: str) -> bool:
    """Whether a name has the form LIBRARY:NAME."""
    library, separator, _ = name.partition(":")
    return bool(separator) and library in LIBRARIES


def check_name(name: str) -> None:
    """Raises ModelError, in one line, where LIBRARY:NAME names no classifier, or its library is not installed.

    A bare LIBRARY is answered with the form that is wanted. Any other name passes.
    """
    library, _, wanted = name.partition(":")
    if library not in LIBRARIES:
        return
    known = names(library)
    if not known:
        raise ModelError(f'{name}: needs the package {library}: pip install "podium-hpo{EXTRAS[library]}"')
    if not wanted:
        raise ModelError(
            f"{name}: give {library}:NAME, such as {library}:resnet18; to list the names: hpo models {library}"
        )
    # timm's names may have a tag, which chooses among several pretrained weights: resnet18.a1_in1k
    if wanted.partition(".")[0] not in known or ("." in wanted and library != "timm"):
        close = get_close_matches(wanted.lower(), known, n=3)
        hint = f"; did you mean {', '.join(close)}?" if close else f"; to list them: hpo models {library}"
        raise ModelError(f"{name}: {library} has no such classifier{hint}")


def hyperparameters(name: str) -> dict[str, Any]:
    """Returns what the network takes, with defaults: `stem`, `pretrained`, and where it has such layers `dropout` and
    `stochastic_depth`. Raises ModelError as `check_name`."""
    check_name(name)
    library, own = _library(name)
    return {"stem": "auto", "pretrained": "none", **library.default_rates(own)}


def build(
    name: str,
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    stem: str = "auto",
    pretrained: str = "none",
    **rates: float,
) -> nn.Module:
    """Builds LIBRARY:NAME for images of `input_shape` (channels, height, width): (N, *input_shape) to logits (N,
    num_classes).

    The last layer has an output per class, the first a filter per channel. stem: "small" takes the first convolution's
    stride and the first pooling away, as ResNets for CIFAR do (He et al., 2016); "auto" is "small" for images under 64
    pixels, unless the network is pretrained or has no such stem; "full" is the library's. pretrained: "none", or
    "whole" and "head", which begin with ImageNet's weights; "head" trains the last layer only, and the statistics of
    BatchNorm stay as they are. rates: `dropout` and `stochastic_depth`. Images that are too small for the network are
    resized in it. Raises ModelError, in one line, for what cannot be built.
    """
    check_name(name)
    for what, value, choices in (("stem", stem, STEMS), ("pretrained", pretrained, PRETRAINED)):
        if value not in choices:
            raise ModelError(f"{what} {value!r}: choose from {', '.join(choices)}")
    from models.libraries.fitting import Fitting, fitted_network

    library, own = _library(name)
    if unknown := sorted(set(rates) - set(library.default_rates(own))):
        raise TypeError(f"{name} takes no {', '.join(unknown)}")
    channels, height, width = input_shape
    try:
        return fitted_network(library, Fitting(own, (channels, height, width), num_classes, stem, pretrained), rates)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from error


def fetch(name: str) -> None:
    """Sees to it that the pretrained weights are on this machine: in a cache, or by download.

    Raises ModelError, which says which file to put where, if they are neither here nor can be downloaded.
    """
    library, own = _library(name)
    try:
        library.weights_file(own).fetch()
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from error


def normalization(name: str) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Returns the mean and the standard deviation, per channel of pixels in [0, 1], that the pretrained weights of an
    architecture want; None for one without such weights."""
    if name == "vgg16":
        name = "torchvision:vgg16"
    if not is_library(name):
        return None
    library, own = _library(name)
    return library.normalization(own)


def _library(name: str) -> tuple[Library, str]:
    """The library's functions, and the network's name there."""
    library, _, own = name.partition(":")
    if library == "timm":
        from models.libraries import timm_networks

        return timm_networks, own
    from models.libraries import torchvision_networks

    return torchvision_networks, own
