"""What a user sees while many networks are trained one after another: a line for each, and a bar on a terminal."""

from __future__ import annotations

import sys

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from hpo.system.text import printable, say
from hpo.views.bars.bar import Bar
from hpo.views.formats import duration


class RunsBar(Bar):
    """Shows how many runs are done and how long the others will take, inside a `with` block."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        if total and sys.stdout.isatty():
            left = TextColumn("{task.fields[left]}")
            self._bar = Progress(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), left)
            self._bar.add_task("", total=total, left="")

    def finished(self, what: str, left_s: float | None) -> None:
        """Takes the text of a run that has ended, and the seconds until the others have; None where not known."""
        self._done += 1
        left = f"about {duration(left_s)} left" if left_s else ""
        line = f"[{self._done}/{self._total}] {what}{', ' if left else ''}{left}"
        if self._bar is None:
            say(line)
            return
        self._bar.console.print(printable(line), highlight=False, markup=False, soft_wrap=True)
        self._bar.update(self._bar.task_ids[0], completed=self._done, left=left)
