"""What a run does while there is nothing else to see: one line with its seconds, on a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hpo.system.terminal import is_live

if TYPE_CHECKING:
    from rich.progress import Progress

_shown: Progress | None = None
past: list[tuple[str, float, float]] = []
"""The phases of this run that are over: the words, and when they began and ended, as time.time() has it."""


@contextmanager
def phase(words: str, *, quiet: bool = False) -> Iterator[None]:
    """Shows the words, and how long it has taken, inside the block; nothing where there is no live terminal."""
    global _shown
    began = time.time()
    if not quiet and is_live():
        _shown = _started(words)
    try:
        yield
    finally:
        hide()
        past.append((words.partition(":")[0], began, time.time()))


def hide() -> None:
    """Ends what is shown, since another display takes its place."""
    global _shown
    if _shown:
        _shown.stop()
    _shown = None


def _started(words: str) -> Progress:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn("line"), TextColumn("{task.description}"), TimeElapsedColumn()
    display = Progress(*columns, console=Console(), transient=True)
    display.add_task(words)
    display.start()
    return display
