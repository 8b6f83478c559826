"""What a user sees while trials run: a live display on a terminal and in a notebook, a line per finished trial
elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpo.system.terminal import is_live, is_notebook
from hpo.system.text import printable, say, shown
from hpo.trials.finalists import final_epochs
from hpo.trials.messages import TrialReport, TrialRequest
from hpo.trials.metric import ACCURACY, value_of
from hpo.trials.records import FINISHED_STATES, TrialRecord, TrialState
from hpo.views.estimate import Work
from hpo.views.formats import accuracy, duration, plural, seconds
from hpo.views.notebook import NotebookDisplay
from hpo.views.tables import WithConfigurations, configuration_words, in_common

MAX_LINES = 12  # of running trials
SILENT_S = 60.0  # after so long without a line, a log gets one
FIRST_TRIALS = 3  # before this many, the pace is not known
_STYLES = {
    TrialState.COMPLETED: "green",
    TrialState.STOPPED: "yellow",
    TrialState.DIVERGED: "magenta",
    TrialState.FAILED: "red",
}


class Progress:
    """Counts trials, and shows nothing: --quiet."""

    def __init__(self, work: Work, done: Sequence[TrialRecord] = (), metric: str = ACCURACY) -> None:
        """`work` is that of the whole run; `done` are the trials of earlier sessions; all are judged by `metric`."""
        self.metric = metric
        self.work, self.total, self.epochs = work, work.trials, work.epochs
        self.counts = dict.fromkeys(FINISHED_STATES, 0)
        self.best: TrialRecord | None = None
        self.running: dict[str, TrialReport | None] = {}
        self.paused: dict[str, TrialReport | None] = {}  # wait on a rung of early stopping
        self.began, self.before = time.monotonic(), len(done)
        self.over_epochs, self.before_epochs = 0, sum(record.epochs for record in done)
        self.first: float | None = None  # when this session's first trial was asked for
        for record in done:
            self._count(record)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def started(self, request: TrialRequest) -> None:
        self.first = self.first or time.monotonic()
        self.running[request.trial_id] = self.paused.pop(request.trial_id, None)

    def reported(self, request: TrialRequest, report: TrialReport) -> None:
        self.running[request.trial_id] = report
        if report.state == TrialState.PAUSED:
            self.paused[request.trial_id] = self.running.pop(request.trial_id)

    def finished(self, record: TrialRecord) -> None:
        """Counts a trial that has ended."""
        self.running.pop(record.trial_id, None)
        self.paused.pop(record.trial_id, None)
        self._count(record)

    @property
    def elapsed_s(self) -> float:
        """Seconds of this session so far."""
        return time.monotonic() - self.began

    @property
    def started_s(self) -> float:
        """Seconds until this session asked for its first trial."""
        return (self.first or time.monotonic()) - self.began

    @property
    def is_at_work(self) -> bool:
        """Whether a worker has reported anything yet."""
        return self.finished_count > self.before or bool(self.paused) or any(dict(self.running).values())

    @property
    def finished_count(self) -> int:
        return sum(self.counts.values())

    def eta_s(self) -> float | None:
        """Estimates the seconds left at the pace so far; None before `FIRST_TRIALS` of this session have finished.

        Trials that run or are paused count by the epochs they have done: several at once are all nearly finished when
        the first one is.
        """
        begun = self._epochs_begun()
        done = self.over_epochs - self.before_epochs + sum(begun)
        if self.finished_count - self.before < min(FIRST_TRIALS, self.total - self.before) or not done:
            return None
        left = self.work.search_epochs(self.finished_count, self.over_epochs, begun)
        each = final_epochs(self.best, self.epochs) if self.best else self.epochs
        return self.work.eta_s(left, each, (self.elapsed_s - self.started_s) / done, self.elapsed_s)

    def share_done(self) -> float:
        """Estimates the share of the search's epochs that are trained, from 0 to 1."""
        begun = self._epochs_begun()
        done = self.over_epochs + sum(begun)
        left = self.work.search_epochs(self.finished_count, self.over_epochs, begun)
        return done / (done + left) if done else 0.0

    def _epochs_begun(self) -> list[int]:
        """The epochs so far of each trial that runs or is paused."""
        return [
            report.epochs if report else 0 for report in [*dict(self.running).values(), *dict(self.paused).values()]
        ]

    def _count(self, record: TrialRecord) -> None:
        self.counts[record.state] += 1
        self.over_epochs += record.epochs
        best = self.best.score if self.best else None
        if record.usable and record.score is not None and (best is None or record.score > best):
            self.best = record


class LineProgress(Progress):
    """Prints one line per finished trial, and one where a trial pauses, for logs and pipes; between them, where there
    is nothing for `SILENT_S`, which trials run."""

    def __enter__(self) -> Self:
        self._over, self._last = threading.Event(), time.monotonic()
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()

    def reported(self, request: TrialRequest, report: TrialReport) -> None:
        super().reported(request, report)
        if report.state == TrialState.PAUSED:
            reached = f"{accuracy(value_of(self.metric, report.score))}, {plural(report.epochs, 'epoch')}"
            self._say(f"[{self.finished_count}/{self.total}] {request.trial_id} paused: {reached}")

    def finished(self, record: TrialRecord) -> None:
        super().finished(record)
        eta = self.eta_s()
        left = f", {duration(eta)} left" if eta else ""
        outcome = accuracy(record.value) if record.state != TrialState.FAILED else record.error
        best = f", best {accuracy(self.best.value)}" if self.best else ""
        self._say(
            f"[{self.finished_count}/{self.total}] {record.trial_id} {record.state}: {outcome}, "
            f"{plural(record.epochs, 'epoch')}, {seconds(record.wall_time_s)}{best}{left}"
        )
        if self.finished_count - self.before == FIRST_TRIALS and self.finished_count < self.total and eta:
            what, spent = ("the rest", 0.0) if self.before else ("the whole run", self.elapsed_s)
            say(f"Estimate after {FIRST_TRIALS} trials: {what} takes about {duration(spent + eta)}.")

    def _say(self, line: str) -> None:
        self._last = time.monotonic()
        say(line)

    def _watch(self) -> None:
        while not self._over.wait(SILENT_S / 10):
            if time.monotonic() - self._last >= SILENT_S:
                running = [self._epochs_of(trial_id) for trial_id in sorted(dict(self.running))]
                more = f" and {len(running) - MAX_LINES} more" if len(running) > MAX_LINES else ""
                at_work = ", ".join(running[:MAX_LINES]) or "no trial yet"
                self._say(f"[{self.finished_count}/{self.total}] running: {at_work}{more}; {duration(self.elapsed_s)}")

    def _epochs_of(self, trial_id: str) -> str:
        report = self.running.get(trial_id)
        return f"{trial_id} epoch {report.epochs if report else 0}/{self.epochs}"


class Display(Protocol):
    """What draws again and again between two calls."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class LiveProgress(Progress):
    """Shows a bar with counts, the time left and the best value so far, and a line per running trial."""

    def __init__(self, work: Work, done: Sequence[TrialRecord], console: Console, metric: str = ACCURACY) -> None:
        super().__init__(work, done, metric)
        self.configs: dict[str, Mapping[str, Any]] = {}  # of the trials of this session
        self.shared: Mapping[str, Any] = {}  # what these have in common
        self.live = self._display(console)

    def __enter__(self) -> Self:
        self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def started(self, request: TrialRequest) -> None:
        super().started(request)
        if request.trial_id in self.configs:  # it goes on after a pause
            return
        # Each is compared once, when it comes: with ten thousand, each drawing would compare them all.
        self.shared = in_common([self.shared, request.params]) if self.configs else request.params
        self.configs[request.trial_id] = request.params

    def _display(self, console: Console) -> Display:
        return Live(console=console, refresh_per_second=4, get_renderable=self._render, transient=True)

    def _render(self) -> Group:
        head = Table.grid(padding=(0, 1))
        eta = self.eta_s()
        spent = duration(self.elapsed_s)
        times = f"{spent} of about {duration(self.elapsed_s + eta)}, {duration(eta)} left" if eta else spent
        bar = ProgressBar(total=1.0, completed=self.share_done(), width=30)
        head.add_row(bar, f"{self.finished_count}/{self.total} trials", times)
        running = sorted(dict(self.running))
        more = [Text(f"  and {len(running) - MAX_LINES} more", style="dim")] if len(running) > MAX_LINES else []
        return Group(head, self._states(), self._running(running[:MAX_LINES]), *more)

    def _states(self) -> Text:
        line = Text(f"  {len(self.running)} running" if self.is_at_work else "  starting workers")
        if self.paused:
            line.append(f", {len(self.paused)} paused")
        for state, count in self.counts.items():
            if count or state == TrialState.COMPLETED:
                line.append(f", {count} {state}", style=_STYLES[state])
        if self.best:
            line.append(f"; best {accuracy(self.best.value)} ({printable(self.best.trial_id)})", style="bold")
        return line

    def _running(self, trial_ids: Sequence[str]) -> WithConfigurations:
        """The running trials: how far they are, and in what their configurations differ."""
        table = Table.grid(padding=(0, 2))
        for trial_id in trial_ids:
            table.add_row(shown(f"  {trial_id}"), *self._measured(self.running.get(trial_id)), style="dim")
        shared = self.shared if len(self.configs) > 1 else {}
        configs = [self.configs.get(trial_id, {}) for trial_id in trial_ids]
        words = [configuration_words(config, [key for key in config if key not in shared]) for config in configs]
        return WithConfigurations(table, words, is_cut=True)

    def _measured(self, report: TrialReport | None) -> tuple[str, str, str, str]:
        if report is None or not report.epochs:
            return f"epoch 0/{self.epochs}", "", "", ""
        last = value_of(self.metric, report.curve[-1].score) if report.curve else None
        best = value_of(self.metric, report.score)
        pace = (report.train_s + report.eval_s) / report.epochs
        return (
            f"epoch {report.epochs}/{self.epochs}",
            f"last {accuracy(last)}",
            f"best {accuracy(best)}",
            f"{seconds(pace)}/epoch",
        )


class NotebookProgress(LiveProgress):
    """The same in a notebook, where it stays when the search is over."""

    def _display(self, console: Console) -> Display:
        return NotebookDisplay(self._render)


def make_progress(work: Work, done: Sequence[TrialRecord], quiet: bool, metric: str = ACCURACY) -> Progress:
    """Makes the display: none with --quiet, a live one on a terminal and in a notebook, lines elsewhere and where TERM
    is dumb."""
    if quiet:
        return Progress(work, done, metric)
    if is_notebook():
        return NotebookProgress(work, done, Console(), metric)
    return LiveProgress(work, done, Console(), metric) if is_live() else LineProgress(work, done, metric)
