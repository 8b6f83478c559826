"""Search spaces per architecture, in Optuna's own distributions.

A space is a mapping of hyperparameter to distribution, and the architecture's default configuration, which
is every study's first trial. A user narrows it with --set, --range or the [space.MODEL] table of a file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpo.spec.checks import unknown
from hpo.spec.settings import SearchSpec
from hpo.system.errors import UserError
from models import MODELS, is_known
from models.names import ACTIVATIONS, PRETRAINED
from trainers.config import AUGMENTATIONS, OPTIMIZERS, SCHEDULES, TrainConfig, split_config

Distributions = dict[str, BaseDistribution]

_COMMON: Distributions = {
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "dropout": FloatDistribution(0.0, 0.6),
    "batch_size": CategoricalDistribution((32, 64, 128, 256)),
    "activation": CategoricalDistribution(ACTIVATIONS),
    "optimizer": CategoricalDistribution(OPTIMIZERS),
    "weight_decay": FloatDistribution(1e-6, 1e-2, log=True),
}
_DEFAULTS: dict[str, Any] = {
    "lr": 1e-3,
    "dropout": 0.0,
    "batch_size": 64,
    "activation": "relu",
    "optimizer": "adam",
    "weight_decay": 1e-6,
}
# What keeps its value unless a user says otherwise, by --set, --range or a table.
_FURTHER: dict[str, Any] = {
    key: getattr(TrainConfig, key) for key in ("momentum", "schedule", "step_epochs", "step_factor", "augment")
}


@dataclass(frozen=True)
class Space:
    """distributions: what Optuna draws (a fixed value is a choice of one). default: the first trial, and the
    value of each further hyperparameter that can be fixed."""

    distributions: Distributions
    default: dict[str, Any]


def _space(*without: str, default: dict[str, Any] | None = None, **changed: BaseDistribution) -> Space:
    """The common space without some hyperparameters, with others changed, and its defaults."""
    kept = {key: value for key, value in {**_COMMON, **changed}.items() if key not in without}
    return Space(kept, {**_DEFAULTS, **_FURTHER, **(default or {})})


SPACES: dict[str, Space] = {
    "mlp": _space(),
    "mlp_small": _space(),
    "mlp_wide": _space(),
    "cnn": _space(),
    "cnn_dropout": _space(default={"dropout": 0.2}),
    "cnn_deep": _space(),
    "lenet5": _space(),
    "lenet5_bn": _space(default={"dropout": 0.5}),
    "compact_190k": _space("dropout"),
    "compact_18k": _space("dropout"),
    "compact_7k": _space("dropout"),
    "compact_6k": _space("dropout"),
    # VGG16 has no BatchNorm: above 1e-2 it does not train.
    "vgg16": _space(
        "activation",
        lr=FloatDistribution(1e-5, 1e-2, log=True),
        default={"lr": 1e-4, "dropout": 0.5, "pretrained": "none"},
    ),
}


def base_space(model: str) -> Space:
    """The architecture's own space. For a user's: the common one, less what its callable does not take.

    Raises ValueError where a user's architecture cannot be imported.
    """
    if model in SPACES:
        space = SPACES[model]
        return Space(space.distributions, {**space.default, **published_widths(model)})
    parameters = _hyperparameters(model)
    without = [key for key in ("dropout", "activation") if key not in parameters]
    return _space(*without, default=parameters)


def published_widths(model: str) -> dict[str, int]:
    """width_1, width_2, ... of an architecture whose widths can be chosen, as published."""
    widths = MODELS[model].widths if model in MODELS else ()
    return {f"width_{number}": width for number, width in enumerate(widths, start=1)}


def _hyperparameters(model: str) -> dict[str, Any]:
    """What a user's callable takes beyond (input_shape, num_classes), with its defaults (None: it must be given).

    What has another kind of default than a number, a text or a truth value keeps it, and cannot be set. ValueError for
    a name that a setting of the training has already.
    """
    import inspect

    from models import builder

    parameters = list(inspect.signature(builder(model)).parameters.values())[2:]
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    taken = split_config({p.name: None for p in named})[0]
    if taken:
        raise UserError(f"--model {model}: its {', '.join(taken)} is a setting of the training too; rename it")
    plain = [p for p in named if p.default is p.empty or isinstance(p.default, bool | int | float | str)]
    return {p.name: None if p.default is p.empty else p.default for p in plain}


def search_space(model: str, spec: SearchSpec) -> Space:
    """The architecture's space, narrowed as the spec says: file first, then --range, then --set.

    Raises ValueError naming flag, value and choices for a hyperparameter that is not one, a value outside
    its domain or a range upside down.
    """
    _check_tables(spec.space)
    base = base_space(model)
    distributions = dict(base.distributions)
    if spec.search_widths:
        distributions |= {key: _around(width) for key, width in published_widths(model).items()}
    for key, value in spec.space.get(model, {}).items():
        flag = f"--config: [space.{model}] {key}"
        _check_name(flag, key, [base])
        distributions[key] = _from_table(flag, key, value, base)
    # A flag is for every architecture that has such a hyperparameter; one of them must.
    bases = [base, *(base_space(other) for other in spec.model if other != model)]
    for text in spec.ranges:
        key, value = _split("--range", text)
        _check_name(f"--range {text}", key, bases)
        if key in _names(base):
            distributions[key] = _from_range(f"--range {text}", key, value, base)
    for text in spec.fixed:
        key, value = _split("--set", text)
        _check_name(f"--set {text}", key, bases)
        if key in _names(base):
            distributions[key] = _fixed(f"--set {text}", key, _number_or_text(value), base)
    return Space(distributions, {key: _default(base.default.get(key), d) for key, d in distributions.items()})


def _around(width: int) -> IntDistribution:
    """Where --search-widths looks: from an eighth of the published width, to twice."""
    return IntDistribution(max(1, width // 8), 2 * width, log=True)


def configuration(model: str, given: Mapping[str, tuple[str, Any]]) -> dict[str, Any]:
    """One configuration: the architecture's default, with other values for what `given` names.

    given: hyperparameter to (the flag that a mistake is shown with, value). Raises ValueError as `search_space`.
    """
    base = base_space(model)
    values = {key: base.default[key] for key in _names(base)}
    for key, (flag, value) in given.items():
        if key not in values and not flag.startswith("--set "):
            raise UserError(f"{flag}: {model} has no {key}; it has {', '.join(values)}")
        _check_name(flag, key, [base])
        _check(flag, key, value, base)
        values[key] = value
    without = [key for key, value in values.items() if value is None]
    if without:
        raise UserError(f"--model {model}: needs a value for {', '.join(without)}; give --set {without[0]}=VALUE")
    return values


def parse_assignments(flag: str, texts: Iterable[str]) -> dict[str, Any]:
    """["lr=0.01"] as {"lr": 0.01}: numbers where they are ones; ValueError where there is no NAME=VALUE."""
    return {key: _number_or_text(value) for key, value in (_split(flag, text) for text in texts)}


def _check_tables(tables: Any) -> None:
    for name, table in tables.items() if isinstance(tables, Mapping) else [("", tables)]:
        if not isinstance(table, Mapping):
            raise UserError(f"--config: space.{name} = {table!r} is no table; write [space.{name or 'cnn'}]")
        if not is_known(name):
            raise unknown(f"--config: [space.{name}]", name, SPACES)


def _split(flag: str, text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key or not value:
        example = "lr=0.01" if flag == "--set" else "lr=1e-4:1e-2:log"
        raise UserError(f"{flag} {text}: write NAME=VALUE, such as {flag} {example}")
    return key.strip().replace("-", "_"), value.strip()


def _from_table(flag: str, key: str, value: Any, base: Space) -> BaseDistribution:
    if isinstance(value, list):
        if not value:
            raise UserError(f"{flag} = []: needs at least one choice")
        for choice in value:
            _check(flag, key, choice, base)
        return CategoricalDistribution(tuple(value))
    if not isinstance(value, Mapping):
        return _fixed(f"{flag} = {value}", key, value, base)
    extra = set(value) - {"low", "high", "log"}
    if extra or not {"low", "high"} <= set(value):
        raise UserError(f"{flag}: a range is {{low=..., high=..., log=true}}, this has {', '.join(value)}")
    return _interval(flag, key, (value["low"], value["high"]), bool(value.get("log", False)), base)


def _from_range(flag: str, key: str, text: str, base: Space) -> BaseDistribution:
    low, _, rest = text.partition(":")
    high, _, scale = rest.partition(":")
    if not high or scale not in ("", "log"):
        raise UserError(f"{flag}: write NAME=LOW:HIGH or NAME=LOW:HIGH:log")
    return _interval(flag, key, (_number_or_text(low), _number_or_text(high)), scale == "log", base)


def _interval(flag: str, key: str, ends: tuple[Any, Any], log: bool, base: Space) -> BaseDistribution:
    for end in ends:
        if isinstance(end, bool) or not isinstance(end, int | float):
            raise UserError(f"{flag}: {end!r} is not a number")
        if log and end <= 0:
            raise UserError(f"{flag}: {end:g} is outside a logarithm's domain; both ends must be over 0")
        _check(flag, key, end, base)
    low, high = ends
    if low >= high:
        raise UserError(f"{flag}: upside down, low {low:g} must be under high {high:g}")
    if _is_integer(key, base):
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _fixed(flag: str, key: str, value: Any, base: Space) -> BaseDistribution:
    _check(flag, key, value, base)
    whole = isinstance(value, str | bool) or _is_integer(key, base)
    return CategoricalDistribution((value if whole else float(value),))


_DOMAINS: dict[str, tuple[float, float, str]] = {
    "lr": (math.ulp(0.0), math.inf, "over 0 and finite"),
    "dropout": (0.0, math.nextafter(1.0, 0.0), "at least 0 and under 1"),
    "momentum": (0.0, math.nextafter(1.0, 0.0), "at least 0 and under 1"),
    "weight_decay": (0.0, math.inf, "at least 0"),
    "batch_size": (1, 2**31, "a whole number from 1 to 2147483648"),
    "step_epochs": (1, 2**31, "a whole number from 1 to 2147483648"),
    "width": (1, 2**16, "a whole number from 1 to 65536"),
    "step_factor": (math.ulp(0.0), 1.0, "over 0 and at most 1"),
}
_CHOICES = {
    "activation": ACTIVATIONS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "augment": AUGMENTATIONS,
    "pretrained": PRETRAINED,
}


def _check(flag: str, key: str, value: Any, base: Space) -> None:
    """ValueError unless `value` lies in the domain of hyperparameter `key`."""
    if key in _CHOICES:
        if value not in _CHOICES[key]:
            raise unknown(flag, str(value), _CHOICES[key])
        return
    known = "width" if re.fullmatch(r"width_\d+", key) else key
    if known not in _DOMAINS:  # a hyperparameter of a user's own architecture
        return
    low, high, words = _DOMAINS[known]
    whole = not _is_integer(key, base) or isinstance(value, int)
    if isinstance(value, bool) or not isinstance(value, int | float) or not whole:
        raise UserError(f"{flag}: {value!r} is not {'a whole' if _is_integer(key, base) else 'a'} number")
    if not (math.isfinite(value) and low <= value <= high):
        raise UserError(f"{flag}: {key} must be {words}")


def _names(base: Space) -> list[str]:
    """Every hyperparameter of an architecture: searched, its own, and those that keep their value otherwise."""
    own = [key for key in base.default if key not in _DEFAULTS and key not in _FURTHER]
    return list(dict.fromkeys((*base.distributions, *own, *_FURTHER)))


def _check_name(flag: str, key: str, bases: list[Space]) -> None:
    names = list(dict.fromkeys(name for base in bases for name in _names(base)))
    if key not in names:
        raise unknown(flag, key, names)


def _is_integer(key: str, base: Space) -> bool:
    return isinstance(base.default.get(key), int) and not isinstance(base.default.get(key), bool)


def _default(value: Any, distribution: BaseDistribution) -> Any:
    """The default value, moved into a narrowed distribution where it fell out of it."""
    if isinstance(distribution, CategoricalDistribution):
        return value if value in distribution.choices else distribution.choices[0]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return distribution.low if value is None else min(max(value, distribution.low), distribution.high)


def _number_or_text(text: str) -> bool | int | float | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
