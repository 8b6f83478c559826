"""What a user sees while one configuration is trained: a bar on a terminal, a line per epoch elsewhere."""

from __future__ import annotations

import sys

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hpo.trials.metric import ACCURACY, value_of, words
from hpo.views.bars.bar import Bar
from hpo.views.formats import accuracy, loss, seconds
from trainers.config import EpochResult, FitResult


class EpochBar(Bar):
    """Shows the epochs of one training, inside a `with` block."""

    def __init__(self, epochs: int, quiet: bool, metric: str = ACCURACY) -> None:
        self.epochs, self.quiet, self.metric, self._done = epochs, quiet, metric, 0
        if not quiet and sys.stdout.isatty():
            words = TextColumn("epoch {task.fields[epoch]}/{task.total:.0f}"), TextColumn("{task.fields[best]}")
            self._bar = Progress(words[0], BarColumn(), words[1], TimeElapsedColumn(), TimeRemainingColumn())
            self._task = self._bar.add_task("", total=epochs, epoch=1, best="")

    def within(self, share: float) -> None:
        """Takes, at each batch, the fraction of the epoch that is done."""
        if self._bar:
            self._bar.update(self._task, completed=self._done + share)

    def reported(self, fitted: FitResult) -> None:
        """Takes the result so far, at the end of each epoch."""
        self._done = len(fitted.curve)
        last, best = fitted.curve[-1], self._value(fitted.best)
        line = (
            f"epoch {last.epoch}/{self.epochs}: train {loss(last.train_loss)} {accuracy(last.train_accuracy)}, "
            f"validation {loss(last.val_loss)} {accuracy(last.val_accuracy)}, "
            f"{self._metric(last)}{seconds(last.train_s + last.eval_s)}"
        )
        if self._bar:
            self._bar.console.print(line, highlight=False, markup=False)
            following = min(self._done + 1, self.epochs)
            self._bar.update(self._task, completed=self._done, epoch=following, best=f"best {best}")
        elif not self.quiet:
            print(line, flush=True)

    def _metric(self, result: EpochResult) -> str:
        """ "macro f1 0.8312, " where the metric is not the accuracy."""
        return "" if self.metric == ACCURACY else f"{words(self.metric)} {self._value(result)}, "

    def _value(self, result: EpochResult | None) -> str:
        return accuracy(value_of(self.metric, result.score) if result else None)
