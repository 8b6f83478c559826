"""The terminal that a command prints tables on, and what else shows what it prints."""

from __future__ import annotations

import sys
import textwrap

from rich.console import Console

from hpo.system.text import say


def console() -> Console:
    """The terminal; a pipe or a file is as wide as tables need."""
    terminal = Console()
    if not terminal.is_terminal:
        terminal.width = 160
    return terminal


def say_wrapped(text: str, indent: int = 0) -> None:
    """Prints a sentence: on a terminal wrapped at words, with so many spaces before each further line."""
    terminal = Console()
    if not terminal.is_terminal:
        say(text)
        return
    for line in textwrap.wrap(
        text, terminal.width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    ):
        say(line)


def is_live() -> bool:
    """Whether lines that were written can be changed: not in a pipe, nor where TERM is dumb."""
    terminal = Console()
    return terminal.is_terminal and not terminal.is_dumb_terminal


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook, whose cells show what it prints."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None
