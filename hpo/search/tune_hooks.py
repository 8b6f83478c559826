"""What Tune calls while it runs (when to end, and which trials lost their worker), and what is changed in it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.execution import class_cache

from cluster.worker_end import how_it_ended
from hpo.search.searcher import StudySearcher
from hpo.system.text import MAX_ERROR_CHARS, single_line
from hpo.trials.messages import REQUEST

WORKER_START_S = 30.0  # a worker takes no longer to start where there is room for it
logger = logging.getLogger(__name__)


class NoReporter(tune.ProgressReporter):
    """Reports nothing. Tune's own for notebooks clears the cell first, even where it is to be silent."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        return False

    def report(self, trials: list[Any], done: bool, *sys_info: str) -> None: ...


class SearchStopper(tune.Stopper):
    """Ends the whole search on Ctrl-C, on a fault, and when its time is over."""

    def __init__(self, interrupted: threading.Event, searcher: StudySearcher) -> None:
        self.interrupted, self.searcher = interrupted, searcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        # Trials end by themselves when the time is over, except those that wait for a node that may never come.
        over = time.time() >= self.searcher.deadline + WORKER_START_S and not self.searcher.is_any_running
        return over or self.interrupted.is_set() or self.searcher.fault is not None

    def __getstate__(self) -> dict[str, Any]:
        return {}


class WorkerCallback(tune.Callback):
    """Tells the searcher which groups have a worker, and why one was lost for good: Tune's own hook has no reason."""

    def __init__(self, searcher: StudySearcher) -> None:
        self.searcher = searcher

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.searcher.worker_started(trial.trial_id)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.searcher.worker_ended(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.searcher.worker_ended(trial.trial_id)
        try:
            words = why_it_was_lost(trial, self.searcher.first_of(trial.trial_id))
            self.searcher.fail(trial.trial_id, words, trial.num_failures - 1)
        except Exception:
            logger.exception("on_trial_error")

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.searcher.worker_ended(trial.trial_id)
        left = self.searcher.restart(trial.trial_id, trial.num_failures)
        trial.config[REQUEST] = replace(trial.config[REQUEST], trials=left)

    def __getstate__(self) -> dict[str, Any]:
        return {}


def why_it_was_lost(trial: Any, name: str) -> str:
    """The telling line of Tune's error file: the last one of a traceback, else the first; of a worker that died, how.

    name: the id of the trial that it trained.
    """
    try:
        text = Path(trial.error_file).read_text(encoding="utf-8")
    except (OSError, TypeError):
        text = ""
    lines = [single_line(line) for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("Failure #")]
    if not lines or lines[0].startswith("The actor died unexpectedly"):
        return how_it_ended(name)
    return lines[-1 if lines[0].startswith("ray::") else 0][:MAX_ERROR_CHARS]


@contextmanager
def environment_inherited() -> Iterator[None]:
    """Tune gives its workers no environment of their own: those of a Ray of this machine have inherited it. For one of
    its own, Ray starts each worker anew, and leaves those that wait already."""
    theirs = class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE = {}, set()
    try:
        yield
    finally:
        class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE = theirs
