"""Errors and other people's texts, in one line that a terminal, a CSV file and a page can show."""

from __future__ import annotations

import re

MOST = 500  # characters of an error in a row
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, cursor movements
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles, links
    r"|\x1b[@-Z\\-_]"
)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def plain(text: str) -> str:
    """The text on one line, without a terminal's escape sequences and control characters."""
    return " ".join(_CONTROLS.sub(" ", _ESCAPES.sub("", text)).split())


def one_line(error: BaseException, most: int = MOST) -> str:
    """ "RuntimeError: what it says", in at most so many characters."""
    return f"{type(error).__name__}: {plain(str(error)) or 'no message'}"[:most]
