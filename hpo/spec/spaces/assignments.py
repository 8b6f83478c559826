"""NAME=VALUE, NAME=LOW:HIGH:log, NAME=VALUE,VALUE and NAME=VALUE:WIDTH: what --set, --range and their kin take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hpo.system.errors import UserError

_EXAMPLES = {
    "--set": "lr=0.01",
    "--range": "lr=1e-4:1e-2:log",
    "--prior": "lr=2e-3",
    "--enqueue": "lr=0.01,batch_size=64",
}


def split_assignment(flag: str, text: str) -> tuple[str, str]:
    """("lr", "0.01") of "lr=0.01"; UserError where there is no NAME=VALUE."""
    key, separator, value = text.partition("=")
    if not separator or not key or not value:
        raise UserError(f"{flag} {text}: write NAME=VALUE, such as {flag} {_EXAMPLES[flag]}")
    return key.strip().replace("-", "_"), value.strip()


def parse_assignments(flag: str, texts: Iterable[str]) -> dict[str, Any]:
    """{"lr": 0.01} of ["lr=0.01"]: numbers and truth values where they are ones."""
    return {key: parse_value(value) for key, value in (split_assignment(flag, text) for text in texts)}


def parse_range(flag: str, text: str) -> tuple[Any, Any, bool]:
    """(low, high, whether the scale is logarithmic) of "LOW:HIGH" or "LOW:HIGH:log"; UserError for another form."""
    low, _, rest = text.partition(":")
    high, _, scale = rest.partition(":")
    if not high or scale not in ("", "log"):
        raise UserError(f"{flag}: write NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=VALUE,VALUE")
    return parse_value(low), parse_value(high), scale == "log"


def parse_value(text: str) -> bool | int | float | str:
    """A truth value or a number where the text is one, otherwise the text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
