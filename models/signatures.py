"""What a user's architecture is called with: Podium's two arguments, or those that it names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, int, int]
_KNOWN = ("input_shape", "in_channels", "num_classes")


def adapted(found: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """The callable as one of (input_shape, num_classes, **hyperparameters).

    It is so already where its first parameter has no default. Otherwise, as with the usual `__init__(self)` and
    `__init__(self, in_channels, num_classes=10, dropout=0.1)`, it gets those of input_shape, in_channels and
    num_classes that it names, and its other parameters are hyperparameters.
    """
    parameters = list(inspect.signature(found).parameters.values())
    if _has_both(parameters):
        return found
    named = [parameter.name for parameter in parameters if parameter.name in _KNOWN]

    def build(input_shape: Shape, num_classes: int, **arch: Any) -> nn.Module:
        known = {"input_shape": input_shape, "in_channels": input_shape[0], "num_classes": num_classes}
        return found(**{name: known[name] for name in named}, **arch)

    first = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in ("input_shape", "num_classes")]
    others = [p.replace(kind=p.KEYWORD_ONLY) for p in parameters if p.name not in named and not _takes_any(p)]
    build.__signature__ = inspect.Signature([*first, *others])  # type: ignore[attr-defined]
    return build


def _has_both(parameters: list[inspect.Parameter]) -> bool:
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters[:2]):
        return True
    by_position = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(by_position) < 2 or by_position[0].default is not inspect.Parameter.empty:
        return False
    first, second = by_position[:2]
    if first.name not in _KNOWN:
        return True
    return first.name == "input_shape" and second.default is inspect.Parameter.empty


def _takes_any(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
