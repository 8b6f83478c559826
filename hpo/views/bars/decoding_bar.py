"""A bar while images are decoded: on a terminal, and only where that takes longer than a moment."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from hpo.views.bars.bar import Bar
from hpo.views.phases import hide

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE_S = 1.0  # before it shows
_STEP_S = 0.1  # between two changes


class DecodingBar(Bar):
    """Shows how many images are decoded, inside a `with` block; on stderr, beside the output of a command."""

    def __init__(self) -> None:
        self._shows_at = time.monotonic() + PATIENCE_S
        self._is_shown = sys.stderr.isatty()

    def moved(self, done: int, total: int) -> None:
        """Takes the number of images that are decoded, and of all."""
        now = time.monotonic()
        if not self._is_shown or now < self._shows_at:
            return
        self._shows_at = now + _STEP_S
        if self._bar is None:
            hide()
            self._bar = _started()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total)


def _started() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("decoding images"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    bar.add_task("")
    bar.start()
    return bar
