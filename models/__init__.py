"""The architectures that Podium knows by name, those of torchvision and timm, and those that a user brings.

Adding one is a function in a file of this folder and a line in `MODELS`; its search space follows from what the
function takes. Without touching Podium: a callable in an importable module, called MODULE:NAME, or in a file, called
FILE.py:NAME, or an installed package's entry point in the group "podium.models". Networks of libraries are called
torchvision:NAME and timm:NAME. Names and activations are readable without torch, so that a wrong name is answered
before anything heavy is imported.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from models import libraries
from models.errors import ModelError
from models.own import adapted, load_own

if TYPE_CHECKING:
    from torch import nn

ENTRY_POINTS = "podium.models"
REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Architecture:
    """An architecture of Podium's own."""

    builder: str
    """MODULE:FUNCTION."""
    source: str
    """Where the architecture comes from."""
    hyperparameters: Mapping[str, Any]
    """What its builder takes, with defaults; the widths apart."""
    widths: tuple[int, ...] = ()
    """The published channels and units of its layers, from the images on, where they can be chosen."""


_COMPARISON = "a comparison of NN, CNN and VGG16"
_COMPACT = "the way to 99.4 % under 8,000 parameters"
_LENET = "LeNet-5 against a perceptron of its size"
_DIGITS = "deep-digits"
_TINY = "Podium's own search"
_BASELINE = "a baseline-against-CNN comparison"
_RESIDUAL = "He et al., 2016, for small images"
_ACTIVATION = {"activation": "relu"}


def _with_dropout(default: float) -> dict[str, Any]:
    return {**_ACTIVATION, "dropout": default}


MODELS: dict[str, Architecture] = {
    "mlp": Architecture("models.mlp:mlp", f"{_DIGITS}; {_BASELINE}", _with_dropout(0.0), (128, 64)),
    "mlp_small": Architecture("models.mlp:mlp", _LENET, _with_dropout(0.0), (56, 28)),
    "mlp_wide": Architecture("models.mlp:mlp", _COMPARISON, _with_dropout(0.0), (512, 512)),
    "cnn": Architecture("models.cnn:cnn", _BASELINE, _with_dropout(0.0), (32, 64, 128, 64)),
    "cnn_dropout": Architecture("models.cnn:cnn_dropout", _DIGITS, _with_dropout(0.2), (32, 64, 128)),
    "cnn_deep": Architecture("models.cnn:cnn_deep", _COMPARISON, _with_dropout(0.0), (32, 64, 64, 1024, 512)),
    "lenet5": Architecture("models.lenet:lenet5", _LENET, _with_dropout(0.0)),
    "lenet5_bn": Architecture("models.lenet:lenet5_bn", _LENET, _with_dropout(0.5)),
    "compact_190k": Architecture("models.compact:compact_190k", _COMPACT, _ACTIVATION, (32, 64, 128, 32, 64, 128)),
    "compact_18k": Architecture(
        "models.compact:compact_18k",
        _COMPACT,
        {**_ACTIVATION, "activated_logits": True},
        (128, 8, 16, 16, 32, 16, 16, 32),
    ),
    "compact_7k": Architecture("models.compact:compact_7k", _COMPACT, _ACTIVATION, (128, 8, 8, 8, 16, 8, 8, 16)),
    "compact_6k": Architecture("models.compact:compact_6k", _COMPACT, _ACTIVATION, (128, 4, 8, 8, 16, 8, 8, 16)),
    "tiny_8k": Architecture("models.tiny:tiny_8k", _TINY, _ACTIVATION, (16, 16, 16, 16)),
    "tiny_2k": Architecture("models.tiny:tiny_2k", _TINY, _ACTIVATION, (10, 14)),
    "resnet20": Architecture("models.resnet:resnet20", _RESIDUAL, _with_dropout(0.0), (16, 32, 64)),
    "resnet18": Architecture("models.resnet:resnet18", _RESIDUAL, _with_dropout(0.0), (64, 128, 256, 512)),
    "vgg16": Architecture("models.vgg:vgg16", _COMPARISON, {"dropout": 0.5, "pretrained": "none"}),
}


def plug_ins() -> dict[str, str]:
    """Returns the architectures of installed packages: name to MODULE:NAME."""
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}


def is_known(name: str) -> bool:
    """Whether `name` is one of ours, of a library or of a plug-in, or has the form MODULE:NAME or FILE.py:NAME."""
    if libraries.is_library(name):
        try:
            libraries.check_name(name)
        except ModelError:
            return False
    return name in MODELS or ":" in name or name in plug_ins()


def is_own(name: str) -> bool:
    """Whether `name` is code of the user's, MODULE:NAME or FILE.py:NAME: it runs only if the user names it."""
    return ":" in name and not libraries.is_library(name)


def is_built_in(name: str) -> bool:
    """Whether Podium itself builds the architecture: one of ours, or of a library."""
    return name in MODELS or libraries.is_library(name)


def builder(name: str) -> Callable[..., nn.Module]:
    """Returns the callable that builds the architecture from (input_shape, num_classes, **hyperparameters).

    Raises ValueError, in one line, where a user's module cannot be imported, has no such callable or has a name of
    Podium's packages, and where a library has no such network.
    """
    if libraries.is_library(name):
        return partial(libraries.build, name)
    path = MODELS[name].builder if name in MODELS else name if ":" in name else plug_ins()[name]
    if name in MODELS:
        module, _, attribute = path.partition(":")
        ours: Callable[..., nn.Module] = getattr(importlib.import_module(module), attribute)
        return ours
    try:
        found: Callable[..., nn.Module] = load_own(path)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"--model {name}: cannot be imported ({type(error).__name__}: {error})") from error
    if not callable(found):
        raise ModelError(f"--model {name}: is of type {type(found).__name__}, not a function or class")
    return adapted(found)


def hyperparameters(name: str) -> dict[str, Any]:
    """Returns what the architecture takes beyond the images and classes, with defaults; REQUIRED where there is none.

    These are `activation`, `dropout`, `pretrained`, and `width_1`, `width_2`, ... of layers whose widths can be chosen;
    of a library's networks also `stem` and `stochastic_depth`. Podium's own are known without torch; a user's are read
    from the signature of its callable. Raises ModelError as `builder`.
    """
    if libraries.is_library(name):
        return libraries.hyperparameters(name)
    if name in MODELS:
        return {**MODELS[name].hyperparameters, **published_widths(name)}
    parameters = list(inspect.signature(builder(name)).parameters.values())[2:]
    return {p.name: p.default for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def published_widths(name: str) -> dict[str, int]:
    """Returns width_1, width_2, ... of an architecture whose widths can be chosen, as published."""
    widths = MODELS[name].widths if name in MODELS else ()
    return {f"width_{number}": width for number, width in enumerate(widths, start=1)}


def build_model(name: str, input_shape: tuple[int, int, int], num_classes: int, **arch: Any) -> nn.Module:
    """Builds the architecture `name` for images of `input_shape` (channels, height, width).

    arch: the architecture's own hyperparameters, see `hyperparameters`. The network takes images (N, *input_shape) and
    returns logits (N, num_classes). Raises ModelError where the images are too small for the architecture, KeyError for
    an unknown name.
    """
    if published := published_widths(name):
        arch["widths"] = tuple(arch.pop(key, width) for key, width in published.items())
    return builder(name)(input_shape, num_classes, **arch)


def fetch_pretrained(name: str, arch: Mapping[str, Any]) -> None:
    """Downloads the pretrained weights that a configuration of `name` starts from, if any, before several workers do.

    Raises ModelError, which says which file to put where, if they are neither here nor can be downloaded.
    """
    if not _is_pretrained(arch):
        return
    if libraries.is_library(name):
        libraries.fetch(name)
    elif name == "vgg16":
        from models.vgg import pretrained_weights

        pretrained_weights()


def without_pretrained(name: str, arch: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the hyperparameters that build the same network with random weights: what is needed to load trained ones.

    The pretrained weights may be missing then. The stem that "auto" means hangs on them, so it is named.
    """
    kept = {key: value for key, value in arch.items() if key != "pretrained"}
    if libraries.is_library(name) and _is_pretrained(arch) and kept.get("stem", "auto") == "auto":
        kept["stem"] = "full"
    return kept


def wanted_normalization(
    name: str, channels: int, arch: Mapping[str, Any]
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Returns mean and standard deviation, per channel of pixels in [0, 1], that a configuration's pretrained weights
    want; None where it has none, or they do not say.

    Of grey images, whose filters are the sum over the channels, both are means over the channels.
    """
    wanted = libraries.normalization(name) if _is_pretrained(arch) else None
    if wanted is None or channels == len(wanted[0]):
        return wanted
    return tuple((sum(values) / len(values),) * channels for values in wanted)  # type: ignore[return-value]


def _is_pretrained(arch: Mapping[str, Any]) -> bool:
    return bool(arch.get("pretrained", "none") != "none")


def count_parameters(name: str, input_shape: tuple[int, int, int], num_classes: int, **arch: Any) -> int:
    """Counts the trainable parameters of an architecture on torch's meta device: nothing is allocated."""
    import torch

    with torch.device("meta"):
        model = build_model(name, input_shape, num_classes, **arch)
    return trainable_parameters(model)


def trainable_parameters(module: nn.Module) -> int:
    """Counts the parameters that training changes."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def check_plug_in(name: str, input_shape: tuple[int, int, int], num_classes: int, **arch: Any) -> None:
    """Builds a user's architecture, feeds it two images and takes a gradient, so that its faults show early.

    Raises ModelError, in one line, where it raises anything, is not a torch module, or does not return (images,
    classes).
    """
    import torch

    try:
        with torch.random.fork_rng(devices=[]):
            network, images = build_model(name, input_shape, num_classes, **arch), torch.zeros(2, *input_shape)
            output = network.eval()(images)
            if tuple(getattr(output, "shape", ())) == (2, num_classes):
                network.train()(images).sum().backward()
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"--model {name}: raises {type(error).__name__}: {reason}") from error
    shape = tuple(getattr(output, "shape", ()))
    if shape != (2, num_classes):
        raise ModelError(
            f"--model {name}: returns {shape or type(output).__name__} for 2 images; must return (2, {num_classes})"
        )
