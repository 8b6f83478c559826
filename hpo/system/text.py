"""Texts of users, of files and of errors: on one line, and without what would steer a terminal."""

from __future__ import annotations

import re
from unicodedata import category

from rich.text import Text

MAX_ERROR_CHARS = 500  # characters of an error in a row


_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, cursor movements
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles, links
    r"|\x1b[@-Z\\-_]"
)


_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def on_one_line(text: object, most: int | None = None) -> str:
    """The text, or the text of an error, on one line; in at most so many characters."""
    return " ".join(str(text).split())[:most]


def single_line(text: str) -> str:
    """The text on one line, without a terminal's escape sequences and control characters."""
    return on_one_line(_CONTROLS.sub(" ", _ESCAPES.sub("", text)))


def describe_error(error: BaseException, most: int = MAX_ERROR_CHARS) -> str:
    """ "RuntimeError: what it says", in at most so many characters."""
    return f"{type(error).__name__}: {single_line(str(error)) or 'no message'}"[:most]


# Control characters, invisible ones that change the order of others, halves of pairs, and ends of lines.
_STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def printable(text: str) -> str:
    """The text with whatever would steer a terminal written as an escape, such as \\x1b."""
    if text.isprintable():
        return text
    return "".join(
        letter.encode("unicode_escape").decode() if category(letter) in _STEERING else letter for letter in text
    )


def shown(text: str) -> Text:
    """For a table of rich's, which would take a [word] in a plain text for markup."""
    return Text(printable(text))


def say(text: str) -> None:
    """Prints a line at once."""
    print(printable(text), flush=True)
