"""The architectures Podium knows by name, and those a user brings.

Adding one is a function in a file of this folder and a line in `MODELS`; its search space follows from what the
function takes. Without touching Podium: a callable in an importable module, called MODULE:NAME, or in a file, called
FILE.py:NAME, or an installed package's entry point in the group "podium.models". Names and activations are readable
without torch, so that a wrong name is answered before anything heavy is imported.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from models.errors import ModelError
from models.own import load_own

if TYPE_CHECKING:
    from torch import nn

ENTRY_POINTS = "podium.models"
REQUIRED = inspect.Parameter.empty


class Architecture(NamedTuple):
    """builder: MODULE:FUNCTION. source: where the architecture comes from. widths: the published channels and units of
    its layers, from the images on; hyperparameters width_1, width_2, ... of those that have any."""

    builder: str
    source: str
    widths: tuple[int, ...] = ()


_A = "a comparison of NN, CNN and VGG16"
_B = "the way to 99.4 % under 8,000 parameters"
_C = "LeNet-5 against a perceptron of its size"
_D = "deep-digits"
_E = "a baseline-against-CNN comparison"

MODELS: dict[str, Architecture] = {
    "mlp": Architecture("models.mlp:mlp", f"{_D}; {_E}", (128, 64)),
    "mlp_small": Architecture("models.mlp:mlp", _C, (56, 28)),
    "mlp_wide": Architecture("models.mlp:mlp", _A, (512, 512)),
    "cnn": Architecture("models.cnn:cnn", _E, (32, 64, 128, 64)),
    "cnn_dropout": Architecture("models.cnn:cnn_dropout", _D, (32, 64, 128)),
    "cnn_deep": Architecture("models.cnn:cnn_deep", _A, (32, 64, 64, 1024, 512)),
    "lenet5": Architecture("models.lenet:lenet5", _C),
    "lenet5_bn": Architecture("models.lenet:lenet5_bn", _C),
    "compact_190k": Architecture("models.compact:compact_190k", _B, (32, 64, 128, 32, 64, 128)),
    "compact_18k": Architecture("models.compact:compact_18k", _B, (128, 8, 16, 16, 32, 16, 16, 32)),
    "compact_7k": Architecture("models.compact:compact_7k", _B, (128, 8, 8, 8, 16, 8, 8, 16)),
    "compact_6k": Architecture("models.compact:compact_6k", _B, (128, 4, 8, 8, 16, 8, 8, 16)),
    "vgg16": Architecture("models.vgg:vgg16", _A),
}


def plug_ins() -> dict[str, str]:
    """Architectures of installed packages: name to MODULE:NAME."""
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}


def is_known(name: str) -> bool:
    """Whether `name` is one of ours, of a plug-in, or has the form MODULE:NAME or FILE.py:NAME."""
    return name in MODELS or ":" in name or name in plug_ins()


def builder(name: str) -> Callable[..., nn.Module]:
    """The callable that builds architecture `name` from (input_shape, num_classes, **hyperparameters).

    Raises ValueError, in one line, where a user's module cannot be imported, has no such callable or has a name of
    Podium's packages.
    """
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
        raise ModelError(f"--model {name}: is a {type(found).__name__}, nothing that builds a network")
    return found


def hyperparameters(name: str) -> dict[str, Any]:
    """What the callable of architecture `name` takes beyond (input_shape, num_classes), with its defaults; REQUIRED
    where there is none.

    Widths are width_1, width_2, ... with the published values. Raises ValueError as `builder`.
    """
    parameters = list(inspect.signature(builder(name)).parameters.values())[2:]
    found = {p.name: p.default for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    if widths := published_widths(name):
        del found["widths"]
    return {**found, **widths}


def published_widths(name: str) -> dict[str, int]:
    """width_1, width_2, ... of an architecture whose widths can be chosen, as published."""
    widths = MODELS[name].widths if name in MODELS else ()
    return {f"width_{number}": width for number, width in enumerate(widths, start=1)}


def build_model(name: str, input_shape: tuple[int, int, int], num_classes: int, **arch: Any) -> nn.Module:
    """Builds the architecture `name` for images of `input_shape` (channels, height, width).

    `arch` holds the architecture's own hyperparameters: `activation`, `dropout`, and `width_1`, `width_2`, ... of the
    layers whose widths can be chosen, by default the published ones.
    Raises ValueError where the images are too small for the architecture, KeyError for an unknown name.
    """
    if published := published_widths(name):
        arch["widths"] = tuple(arch.pop(key, width) for key, width in published.items())
    return builder(name)(input_shape, num_classes, **arch)


def fetch_pretrained(arch: Mapping[str, Any]) -> None:
    """Downloads the weights that a configuration begins with, if any: once, before several workers would.

    Raises ValueError, saying which file to put where, if they are neither here nor can be fetched.
    """
    if arch.get("pretrained", "none") != "none":
        from models.vgg import pretrained_weights

        pretrained_weights()


def count_parameters(name: str, input_shape: tuple[int, int, int], num_classes: int, **arch: Any) -> int:
    """Counts the trainable parameters on torch's meta device: nothing is allocated."""
    import torch

    with torch.device("meta"):
        model = build_model(name, input_shape, num_classes, **arch)
    return trainable_parameters(model)


def trainable_parameters(module: nn.Module) -> int:
    """How many parameters training changes."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def check_plug_in(name: str, input_shape: tuple[int, int, int], num_classes: int, **arch: Any) -> None:
    """Builds a user's architecture, feeds it two images and takes a gradient: its faults show before anything starts.

    Raises ValueError, in one line, where it raises, is no torch module or has an output of another shape
    than (images, classes).
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
            f"--model {name}: gives {shape or type(output).__name__} for 2 images, ({2}, {num_classes}) is needed"
        )
