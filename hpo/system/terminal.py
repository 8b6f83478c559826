"""The terminal that a command prints tables on."""

from __future__ import annotations

from rich.console import Console


def console() -> Console:
    """The terminal; a pipe or a file is as wide as tables need."""
    terminal = Console()
    if not terminal.is_terminal:
        terminal.width = 160
    return terminal
