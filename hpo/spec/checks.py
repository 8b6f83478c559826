"""Checks of single settings: each raises UserError, in one line, with the flag, the value and the choices."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from hpo.system.errors import UserError
from models import MODELS, is_known
from models.errors import ModelError
from models.libraries import check_name as check_library_name

MAX_SEED = 2**31 - 1  # trials add their number to it, and samplers take 32 bits


def seconds(text: str, flag: str = "--time-budget") -> float:
    """Seconds of "90s", "10m", "1h30m"; UserError, with the flag, for anything else, as a number without a unit."""
    if re.fullmatch(r"\d+(\.\d+)?", text.strip()):
        raise UserError(f"{flag} {text}: give the unit, as in {text.strip()}s, {text.strip()}m or {text.strip()}h")
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", text.strip())
    hours, minutes, rest = match.groups() if match else (None, None, None)
    total = int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(rest or 0)
    if total <= 0:
        raise UserError(f"{flag} {text}: give a duration such as 90s, 10m or 1h30m")
    return total


# What others call it, where the spelling alone would lead elsewhere or nowhere.
_MEANT = {
    **dict.fromkeys(("gpu", "nvidia", "rocm", "hip"), "cuda"),
    **dict.fromkeys(("apple", "metal"), "mps"),
    **dict.fromkeys(("fp32", "float", "single", "full", "32"), "float32"),
    **dict.fromkeys(("bfloat16", "fp16", "float16", "half", "amp", "mixed", "16"), "bf16"),
    **dict.fromkeys(("fmnist", "fashion"), "fashion-mnist"),
    **dict.fromkeys(("f1", "f1_macro", "f1-macro"), "macro_f1"),
    **dict.fromkeys(("auc", "roc_auc", "roc-auc"), "auroc"),
    **dict.fromkeys(("nll", "logloss"), "log_loss"),
    **dict.fromkeys(("ce", "crossentropy", "softmax"), "cross_entropy"),
    **dict.fromkeys(("acc", "top1"), "accuracy"),
    "learning_rate": "lr",
    "swish": "silu",
}


def unknown(what: str, value: str, choices: Iterable[str], more: str = "") -> UserError:
    """The one-line error for a `value` that is not among `choices`, with the closest one; `what` names it in
    the user's words, such as "--model cnnn"."""
    names = list(choices)
    meant = _MEANT.get(value.lower().partition(":")[0])
    close = [meant] if meant in names else get_close_matches(value.lower(), names, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return UserError(f"{what}: unknown{hint}; choose from {', '.join(names)}{more}")


def choice(flag: str, value: str, choices: tuple[str, ...], more: str = "") -> None:
    """UserError unless `value` is one of the choices; `more` is said behind them."""
    if value not in choices:
        raise unknown(f"{flag} {value}", value, choices, more)


OWN = ", or give torchvision:NAME, timm:NAME, MODULE:NAME or FILE.py:NAME"


def check_model(flag: str, name: str, more: tuple[str, ...] = ()) -> None:
    """UserError unless `name` is an architecture's; `more` can be chosen beside those of Podium's own."""
    if name in more:
        return
    try:
        check_library_name(name)
    except ModelError as error:
        raise UserError(f"{flag.removesuffix(name).rstrip()} {error}") from error
    if not is_known(name):
        raise unknown(flag, name, (*MODELS, *more), OWN)


def whole_or_text(value: str | int) -> str | int:
    """The number where a text is a whole one: a flag that takes a number or a word gives both as text."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?\d+", value) else value


def at_least(flag: str, value: int | None, least: int) -> None:
    """UserError unless `value` is a whole number of at least `least`, or None."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise UserError(f"{flag} {value}: must be a whole number")
    if value is not None and value < least:
        raise UserError(f"{flag} {value}: must be at least {least}")


def check_seed(seed: int | None) -> None:
    """UserError unless the seed lies in [0, MAX_SEED], or is None."""
    at_least("--seed", seed, 0)
    if seed is not None and seed > MAX_SEED:
        raise UserError(f"--seed {seed}: must be at most {MAX_SEED}")


def check_name(flag: str, name: str | None) -> None:
    """UserError unless the name is that of a single folder, in at most 200 bytes, or None."""
    # File systems count bytes, at most 255 of them.
    if name is not None and (
        not re.fullmatch(r"[^/\\\0]+", name) or name in (".", "..") or len(os.fsencode(name)) > 200
    ):
        raise UserError(f"{flag} {name}: must be a plain folder name, inside --results-dir")


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Settings that differ, as "--flag old -> new"."""
    keys = sorted({*old, *new})
    return [
        f"--{key.replace('_', '-')} {old.get(key, 'unset')} -> {new.get(key, 'unset')}"
        for key in keys
        if old.get(key) != new.get(key)
    ]
