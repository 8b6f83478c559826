"""Which values a hyperparameter can have at all, whatever the space that is searched."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from hpo.spec.checks import unknown
from hpo.spec.spaces.own_functions import check_loss
from hpo.system.errors import UserError
from models.names import ACTIVATIONS, PRETRAINED, STEMS
from trainers.config import AUGMENTATIONS, CLASS_WEIGHTS, OPTIMIZERS, SAMPLER_WEIGHTS, SCHEDULES

_POSITIVE = math.ulp(0.0)
_UNDER_ONE = math.nextafter(1.0, 0.0)

# The least and the largest value, and the same in words.
_NUMBERS: dict[str, tuple[float, float, str]] = {
    "lr": (_POSITIVE, math.inf, "over 0 and finite"),
    "dropout": (0.0, _UNDER_ONE, "at least 0 and under 1"),
    "stochastic_depth": (0.0, _UNDER_ONE, "at least 0 and under 1"),
    "warm_up": (0.0, 0.9, "from 0 to 0.9"),
    "momentum": (0.0, _UNDER_ONE, "at least 0 and under 1"),
    "beta1": (0.0, _UNDER_ONE, "at least 0 and under 1"),
    "clip_norm": (0.0, math.inf, "at least 0 and finite; 0 is no clipping"),
    "label_smoothing": (0.0, _UNDER_ONE, "at least 0 and under 1"),
    "focal_gamma": (0.0, 10.0, "from 0 to 10"),
    "augment_strength": (0.0, 10.0, "from 0 to 10"),
    "ema": (0.0, _UNDER_ONE, "at least 0 and under 1; 0 is no average"),
    "weight_decay": (0.0, math.inf, "at least 0"),
    "batch_size": (1, 2**31, "a whole number from 1 to 2147483648"),
    "step_epochs": (1, 2**31, "a whole number from 1 to 2147483648"),
    "width": (1, 2**16, "a whole number from 1 to 65536"),
    "step_factor": (_POSITIVE, 1.0, "over 0 and at most 1"),
}
_CHOICES = {
    "activation": ACTIVATIONS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "pretrained": PRETRAINED,
    "stem": STEMS,
    "class_weights": CLASS_WEIGHTS,
    "sampler_weights": SAMPLER_WEIGHTS,
}
_SWITCHES = ("nesterov", "activated_logits")


def is_known(key: str) -> bool:
    """Whether this is a hyperparameter of Podium's own; a user's architecture may have others."""
    return key in _CHOICES or key in ("augment", "loss", *_SWITCHES) or is_number(key)


def is_number(key: str) -> bool:
    """Whether this is a hyperparameter of Podium's own that has a range."""
    return _number(key) in _NUMBERS


def check_value(flag: str, key: str, value: Any, whole: bool) -> None:
    """UserError unless `value` lies in the domain of hyperparameter `key`; `whole`: of whole numbers alone."""
    if key in _SWITCHES:
        if not isinstance(value, bool):
            raise UserError(f"{flag}: {value!r} is not true or false")
        return
    if key == "augment":
        _check_augmentation(flag, str(value))
        return
    if key == "loss":
        check_loss(flag, value)
        return
    if key in _CHOICES:
        if value not in _CHOICES[key]:
            raise unknown(flag, str(value), _CHOICES[key])
        return
    known = _number(key)
    if known not in _NUMBERS:  # a hyperparameter of a user's own architecture
        return
    low, high, words = _NUMBERS[known]
    if isinstance(value, bool) or not isinstance(value, int | float) or (whole and not isinstance(value, int)):
        raise UserError(f"{flag}: {value!r} is not {'a whole' if whole else 'a'} number")
    if not (math.isfinite(value) and low <= value <= high):
        raise UserError(f"{flag}: {key} must be {words}")


def _check_augmentation(flag: str, value: str) -> None:
    for part in value.split("+"):
        if part not in AUGMENTATIONS:
            raise unknown(flag, part, AUGMENTATIONS)
        if part == "none" and part != value:
            raise UserError(f"{flag}: none stands alone")


def _number(key: str) -> str:
    """The name under which the limits of a number stand: all widths have the same ones."""
    return "width" if re.fullmatch(r"width_\d+", key) else key


def in_use(config: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters that have an effect in a training: momentum has none with adam, say."""
    idle = {"beta1"} if config.get("optimizer") == "sgd" else {"momentum", "nesterov"}
    idle |= set() if config.get("schedule") in ("wsd", "linear") else {"warm_up"}
    idle |= set() if config.get("augment") != "none" else {"augment_strength"}
    idle |= set() if config.get("schedule") == "step" else {"step_epochs", "step_factor"}
    idle |= {key for key in ("label_smoothing", "ema", "clip_norm") if not config.get(key)}
    idle |= set() if config.get("loss") == "focal" else {"focal_gamma"}
    idle |= {key for key in ("class_weights", "sampler_weights") if config.get(key) == "none"}
    return {key: value for key, value in config.items() if key not in idle}
