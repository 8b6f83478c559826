"""Search spaces per architecture, in Optuna's own distributions.

A space is a mapping of hyperparameter to distribution, and the architecture's default configuration, which
is every study's first trial. A user narrows it with --set, --range or the [space.MODEL] table of a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpo.spec.checks import check_model, unknown
from hpo.spec.search import SearchSpec
from hpo.spec.spaces.assignments import parse_range, parse_value, split_assignment
from hpo.spec.spaces.defaults import (
    AUGMENT_OF_PHOTOS,
    FIXED,
    FURTHER,
    LR_OF_FINE_TUNING,
    LR_OF_THEIR_OWN,
    NEVER_MIRRORED,
    RECIPE,
    SEARCHED,
)
from hpo.spec.spaces.domains import check_value
from hpo.spec.spaces.own_functions import is_own, loop_hyperparameters
from hpo.system.errors import UserError
from models import REQUIRED, hyperparameters, published_widths
from models.libraries import is_library
from trainers.config import split_config

Distributions = dict[str, BaseDistribution]
NO_PARTS: dict[str, Any] = {"label_smoothing": 0.0, "class_weights": "none"}  # of a loss of the user's own


@dataclass(frozen=True)
class Space:
    """distributions: what Optuna draws (a fixed value is a choice of one). default: the first trial, and the
    value of each further hyperparameter that can be fixed."""

    distributions: Distributions
    default: dict[str, Any]

    @property
    def searched(self) -> Distributions:
        """Its hyperparameters that may have more than one value."""
        return {name: distribution for name, distribution in self.distributions.items() if not distribution.single()}

    def texts(self) -> dict[str, str]:
        """Returns its distributions as study.json keeps them; `stored_space` reads them back."""
        return {key: str(distribution) for key, distribution in self.distributions.items()}


def base_space(model: str, trainer: str | None = None) -> Space:
    """The architecture's own space: the common one, without what its callable does not take, and with what the user's
    own training loop takes.

    Raises ModelError where a user's architecture cannot be imported, and UserError for a parameter that a setting of
    the training is called as.
    """
    own = hyperparameters(model) | (loop_hyperparameters(trainer) if trainer else {})
    if taken := split_config(dict.fromkeys(own))[0]:
        raise UserError(f"--model {model}: its {', '.join(taken)} is a setting of the training too; rename it")
    # What has another kind of default keeps it. What has none needs a value.
    plain = {
        key: value for key, value in own.items() if value is REQUIRED or isinstance(value, bool | int | float | str)
    }
    values = {key: None if value is REQUIRED else value for key, value in plain.items()}
    without = [key for key in ("dropout", "activation") if key not in values]
    fixed = {key: CategoricalDistribution((value,)) for key, value in FIXED.items()}
    kept = {key: distribution for key, distribution in {**SEARCHED, **fixed}.items() if key not in without}
    default = {**RECIPE, **FURTHER, **values}
    if model in LR_OF_THEIR_OWN:
        kept["lr"], default["lr"] = LR_OF_THEIR_OWN[model]
    return Space(kept, default)


def search_space(model: str, spec: SearchSpec, *, of_photos: bool = False) -> Space:
    """The architecture's space, narrowed as the spec says: file first, then --range, then --set.

    Raises UserError naming flag, value and choices for a hyperparameter that is not one, a value outside its domain or
    a range whose low end is above its high end. of_photos: whether the images may be mirrored, see `has_photos`.
    """
    _check_tables(spec.space)
    base = base_space(model, spec.trainer)
    distributions = dict(base.distributions)
    if spec.search_widths:
        distributions |= {key: _around(width) for key, width in published_widths(model).items()}
    said = _from_file(model, spec, base) | _from_flags(spec, base, model)
    default = dict(base.default)
    if of_photos and "augment" not in said:
        distributions["augment"], default["augment"] = AUGMENT_OF_PHOTOS
    if "lr" not in said and is_fine_tuned(model, getattr(said.get("pretrained"), "choices", ())):
        distributions["lr"], default["lr"] = LR_OF_FINE_TUNING
    if any(map(is_own, spec.losses)):
        distributions |= _without_parts_of_the_loss(said)
    distributions |= said
    return Space(distributions, {key: move_into(default.get(key), d) for key, d in distributions.items()})


def has_photos(dataset: str, channels: int) -> bool:
    """Whether the images are mirrored by default: those in colour, unless their data set is known to have texts."""
    return channels == 3 and dataset not in NEVER_MIRRORED


def _without_parts_of_the_loss(said: Distributions) -> Distributions:
    """What a loss of the user's own has no place for: UserError where they ask for it."""
    for key, value in NO_PARTS.items():
        if key in said and getattr(said[key], "choices", ()) != (value,):
            raise UserError(f"--loss: your own has no {key}; leave it out, or do it in the loss")
    return {key: CategoricalDistribution((value,)) for key, value in NO_PARTS.items() if key in SEARCHED}


def is_fine_tuned(model: str, choices: Sequence[Any]) -> bool:
    """Whether a library's network begins with pretrained weights, whatever of these choices of `pretrained` it has."""
    return is_library(model) and bool(choices) and "none" not in choices


def _from_file(model: str, spec: SearchSpec, base: Space) -> Distributions:
    """What the configuration file says of the architecture's space."""
    found: Distributions = {}
    for key, value in spec.space.get(model, {}).items():
        flag = f"--config: [space.{model}] {key}"
        check_name(flag, key, [base])
        found[key] = _from_table(flag, key, value, base)
    return found


def _from_flags(spec: SearchSpec, base: Space, model: str) -> Distributions:
    """What --range and then --set say of it."""
    found: Distributions = {}
    # A flag is for every architecture that has such a hyperparameter; one of them must.
    bases = [base, *(base_space(other, spec.trainer) for other in spec.model if other != model)]
    for text in spec.ranges:
        key, value = split_assignment("--range", text)
        check_name(f"--range {text}", key, bases)
        if key in _names(base):
            found[key] = _from_range(f"--range {text}", key, value, base)
    for flag, key, value in spec.fixed_values:
        check_name(flag, key, bases)
        if key in _names(base):
            found[key] = _fixed(flag, key, value, base)
    return found


def _around(width: int) -> IntDistribution:
    """Where --search-widths looks: from an eighth of the published width, to twice."""
    return IntDistribution(max(1, width // 8), 2 * width, log=True)


def configuration(
    model: str, given: Mapping[str, tuple[str, Any]], trainer: str | None = None, *, of_photos: bool = False
) -> dict[str, Any]:
    """One configuration: the architecture's default, with other values for what `given` names.

    given: hyperparameter to (the flag that a mistake is shown with, value). Raises UserError as `search_space`.
    """
    base = base_space(model, trainer)
    values = {key: base.default[key] for key in _names(base)}
    if is_fine_tuned(model, [value for key, (_, value) in given.items() if key == "pretrained"]):
        values["lr"] = LR_OF_FINE_TUNING[1]
    if of_photos:
        values["augment"] = AUGMENT_OF_PHOTOS[1]
    for key, (flag, value) in given.items():
        if key not in values and not flag.startswith("--set "):
            raise UserError(f"{flag}: {model} has no {key}; it has {', '.join(values)}")
        check_name(flag, key, [base])
        check_value(flag, key, value, _is_integer(key, base))
        values[key] = value
    if is_own(values["loss"]):
        for key, value in NO_PARTS.items():
            if key in given and values[key] != value:
                raise UserError(f"{given[key][0]}: a loss of your own has no {key}; leave it out, or do it in the loss")
            values[key] = value
    without = [key for key, value in values.items() if value is None]
    if without:
        raise UserError(f"--model {model}: needs a value for {', '.join(without)}; give --set {without[0]}=VALUE")
    return values


def _check_tables(tables: Any) -> None:
    for name, table in tables.items() if isinstance(tables, Mapping) else [("", tables)]:
        if not isinstance(table, Mapping):
            raise UserError(f"--config: space.{name} = {table!r} is no table; write [space.{name or 'cnn'}]")
        check_model(f"--config: [space.{name}]", name)


def _from_table(flag: str, key: str, value: Any, base: Space) -> BaseDistribution:
    if isinstance(value, list):
        if not value:
            raise UserError(f"{flag} = []: needs at least one choice")
        for choice in value:
            check_value(flag, key, choice, _is_integer(key, base))
        return CategoricalDistribution(tuple(value))
    if not isinstance(value, Mapping):
        return _fixed(f"{flag} = {value}", key, value, base)
    extra = set(value) - {"low", "high", "log"}
    if extra or not {"low", "high"} <= set(value):
        raise UserError(f"{flag}: a range is {{low=..., high=..., log=true}}, this has {', '.join(value)}")
    return _interval(flag, key, (value["low"], value["high"]), bool(value.get("log", False)), base)


def _from_range(flag: str, key: str, text: str, base: Space) -> BaseDistribution:
    if "," in text:
        return _from_table(flag, key, [parse_value(choice.strip()) for choice in text.split(",")], base)
    low, high, log = parse_range(flag, text)
    return _interval(flag, key, (low, high), log, base)


def _interval(flag: str, key: str, ends: tuple[Any, Any], log: bool, base: Space) -> BaseDistribution:
    for end in ends:
        if isinstance(end, bool) or not isinstance(end, int | float):
            raise UserError(f"{flag}: {end!r} is not a number")
        if log and end <= 0:
            raise UserError(f"{flag}: {end:g} is outside a logarithm's domain; both ends must be over 0")
        check_value(flag, key, end, _is_integer(key, base))
    low, high = ends
    if low >= high:
        raise UserError(f"{flag}: low {low:g} must be below high {high:g}")
    if _is_integer(key, base):
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _fixed(flag: str, key: str, value: Any, base: Space) -> BaseDistribution:
    check_value(flag, key, value, _is_integer(key, base))
    whole = isinstance(value, str | bool) or _is_integer(key, base)
    return CategoricalDistribution((value if whole else float(value),))


def _names(base: Space) -> list[str]:
    """Every hyperparameter of an architecture: searched, its own, and those that keep their value otherwise."""
    own = [key for key in base.default if key not in RECIPE and key not in FURTHER]
    return list(dict.fromkeys((*base.distributions, *own, *FURTHER)))


def check_name(flag: str, key: str, bases: Sequence[Space]) -> None:
    """Raises UserError where `key` is a hyperparameter of none of these architectures."""
    names = list(dict.fromkeys(name for base in bases for name in _names(base)))
    if key not in names:
        raise unknown(flag, key, names)


def _is_integer(key: str, base: Space) -> bool:
    return isinstance(base.default.get(key), int) and not isinstance(base.default.get(key), bool)


def move_into(value: Any, distribution: BaseDistribution) -> Any:
    """Returns the default value, moved into a distribution where it lies outside it."""
    if isinstance(distribution, CategoricalDistribution):
        return value if value in distribution.choices else distribution.choices[0]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return distribution.low if value is None else min(max(value, distribution.low), distribution.high)
