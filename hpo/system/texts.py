"""Texts of users and of files on a terminal: shown as they are, never obeyed."""

from __future__ import annotations

from unicodedata import category

from rich.text import Text

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
