"""The end of trials that take too long, and of workers that hang."""

from __future__ import annotations

import contextlib
import faulthandler
import threading
import time
from collections.abc import Sequence
from functools import partial

from hpo.store.checkpoints import Checkpoints
from hpo.worker.last_words import last_words_file, leave
from hpo.worker.running_trial import RunningTrial

HANG_GRACE_S = 10.0  # so long after its time a trial that has not ended by itself is taken to hang
LOCKED_GRACE_S = 2 * HANG_GRACE_S  # where not even Python's own threads run: these have had their time by then
EXIT_HUNG = 1  # exit code of a worker whose trial hung, as faulthandler's own


class Timeout:
    """Ends a group that is at work for longer than --trial-timeout. A context manager around the work.

    What it waits, for a worker or its driver, does not count. After an epoch it is ended by an error. One that hangs in
    an epoch takes its worker with it a little later, which leaves a traceback of where it hung in its log, and a mark
    by which the next worker knows.
    """

    def __init__(self, seconds: float | None, trials: Sequence[RunningTrial], checkpoints: Checkpoints) -> None:
        self.seconds = seconds
        if seconds is None:
            return
        names = [(trial.request.trial_id, trial.request.asked_at) for trial in trials]
        self.marks = [partial(checkpoints.mark_late, *name) for name in names]
        late = any(checkpoints.is_late(*name) for name in names)
        self.left = 0.0 if late else max(0.0, seconds - max(trial.earlier_s for trial in trials))

    def check(self) -> None:
        """Raises TimeoutError once the time is over."""
        if self.seconds is not None and self.left <= 0:
            raise TimeoutError(f"longer than --trial-timeout allows ({self.seconds:g} s)")

    def __enter__(self) -> None:
        if self.seconds is None:
            return
        self.began = time.monotonic()
        self.timer = threading.Timer(self.left + HANG_GRACE_S, self._end_worker)
        self.timer.daemon = True
        self.timer.start()
        # A thread of C's: it also fires where Python's own waits for a lock that is never freed.
        faulthandler.dump_traceback_later(self.left + LOCKED_GRACE_S, exit=True, file=last_words_file())

    def __exit__(self, *_: object) -> None:
        if self.seconds is not None:
            self.timer.cancel()
            faulthandler.cancel_dump_traceback_later()
            self.left -= time.monotonic() - self.began

    def _end_worker(self) -> None:
        with contextlib.suppress(OSError):
            for mark in self.marks:
                mark()
        faulthandler.dump_traceback(last_words_file(), all_threads=True)
        leave(EXIT_HUNG)
