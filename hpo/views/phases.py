"""What a run does while there is nothing else to see: on a terminal a line with its seconds, which goes again;
elsewhere a line of each phase that is slow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING

from hpo.system.streams import tell
from hpo.system.terminal import is_live

if TYPE_CHECKING:
    from rich.progress import Progress

SLOW_S = 1.5
_shown: Progress | None = None
past: list[tuple[str, float, float]] = []
"""The phases of this run that are over: the words, and when they began and ended, as time.time() has it."""


@contextmanager
def phase(words: str, *, quiet: bool = False) -> Iterator[None]:
    """Shows the words, and how long it has taken, inside the block; in a pipe or a notebook it prints them where the
    block takes longer than `SLOW_S`."""
    global _shown
    began, line = time.time(), Timer(SLOW_S, tell, [f"{words} ..."])
    line.daemon = True
    if not quiet and is_live():
        _shown = _started(words)
    elif not quiet:
        line.start()
    try:
        yield
    finally:
        line.cancel()
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
