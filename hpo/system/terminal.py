"""The terminal that a command prints tables on."""

from __future__ import annotations

from rich.console import Console


def console() -> Console:
    """The terminal; a pipe or a file is as wide as tables need."""
    terminal = Console()
    if not terminal.is_terminal:
        terminal.width = 160
    return terminal


def is_live() -> bool:
    """Whether lines that were written can be changed: not in a pipe, nor where TERM is dumb."""
    terminal = Console()
    return terminal.is_terminal and not terminal.is_dumb_terminal
