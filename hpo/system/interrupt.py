"""Ctrl-C and SIGTERM: the first asks a run to end well, the second ends it at once.

The command answers from its first line on (`answer_signals`). It raises no KeyboardInterrupt, which could strike in a
destructor or within Ray: a thread of its own hears of a signal, also while the main one is in C code. What can end well
by itself says so (`interruptible`) and is asked to; everything else has nothing to lose and is ended.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

from cluster.errors import INTERRUPTED, SIGNALLED

GRACE_S = 6.0  # for what ends by itself
_NATIVE = "RAY_DISABLE_FAILURE_SIGNAL_HANDLER"  # Ray's own, in C++, would abort the process at a SIGTERM
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Guard:
    """Answers the signals of a command. first: the number of the first one, 0 before."""

    def __init__(self) -> None:
        self.first, self.event = 0, threading.Event()
        self._is_patient = self._is_over = False
        self._exit_message = threading.Lock()  # who has it says how the run ended, and nobody else
        self._last_words: Callable[[], str] = lambda: "interrupted; nothing was begun"

    def install(self) -> None:
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        for number in _SIGNALS:
            signal.signal(number, _noted)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=self._listen, args=(reader,), name="signals", daemon=True).start()

    def finish(self) -> None:
        """Ignores all signals from now on; see `ignore_signals`."""
        if self._is_over:
            return
        if not self._claim_exit_message():
            threading.Event().wait()
        self._is_over = True
        # Python puts its own handlers back while it ends, which would end it by the signal; what is ignored stays so.
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    @contextmanager
    def saying(self, words: Callable[[], str]) -> Iterator[None]:
        before, self._last_words = self._last_words, words
        try:
            yield
        finally:
            self._last_words = before

    @contextmanager
    def interruptible(self) -> Iterator[threading.Event]:
        self._is_patient = True
        try:
            yield self.event
        finally:
            # What comes after the block is as quick as it was slow: it is not cut off in the middle.
            self._is_patient = self.event.is_set()

    def _listen(self, reader: int) -> None:
        while True:
            for number in os.read(reader, 64):
                if number in _SIGNALS:
                    self._answer(number)

    def _answer(self, number: int) -> None:
        if self.first:
            _end_at_once(exit_code(self.first))
        if self._exit_message.locked():
            return  # the run is over, and says so just now
        self.first = number
        self.event.set()
        timer = threading.Timer(GRACE_S if self._is_patient else 0.0, self._end)
        timer.daemon = True
        timer.start()
        if self._is_patient:
            _say_that_it_stops()

    def _end(self) -> None:
        """Says what is to be said, and leaves."""
        if not self._claim_exit_message():
            return
        with suppress(Exception):  # nothing may keep the process from ending
            print(f"hpo: {self._last_words()}", file=sys.stderr, flush=True)
        _end_at_once(exit_code(self.first))

    def _claim_exit_message(self) -> bool:
        return self._exit_message.acquire(blocking=False)


_guard: _Guard | None = None


class _Terminated(KeyboardInterrupt):
    """SIGTERM in a block that is `interrupting`."""


def answer_signals() -> None:
    """From now on this process answers SIGINT and SIGTERM as a command does. Its main thread calls it, once."""
    global _guard
    if _guard is None:
        os.environ.setdefault(_NATIVE, "1")
        _guard = _Guard()
        _guard.install()


def ignore_signals() -> None:
    """The run is over: a signal that comes now has nothing to interrupt. Where one has and its grace is over, this does
    not return: what there is to say is being said, and the process ends."""
    if _guard is not None:
        _guard.finish()


def saying(words: Callable[[], str]) -> AbstractContextManager[None]:
    """What is done and said last where a command is ended within the block: `words` is called in another thread."""
    return nullcontext() if _guard is None else _guard.saying(words)


def interruptible() -> AbstractContextManager[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; a second one ends the process.

    A command whose block has not ended `GRACE_S` later is ended. Outside the main thread, where Python delivers no
    signals, the event is never set.
    """
    if _guard is not None:
        return _guard.interruptible()
    if threading.current_thread() is not threading.main_thread():
        return nullcontext(threading.Event())
    return _interruptible_here()


@contextmanager
def interrupting() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as Ctrl-C does; `interrupted_code` tells them apart. Nothing is changed outside
    the main thread."""

    def handle(number: int, frame: Any) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def interrupted_code(error: KeyboardInterrupt | None = None) -> int:
    """The exit code of what was interrupted: by which signal, as far as the error or the command's guard knows it."""
    if isinstance(error, _Terminated):
        return exit_code(signal.SIGTERM)
    return exit_code(_guard.first) if _guard is not None and _guard.first else INTERRUPTED


def exit_code(number: int) -> int:
    """What a shell has for a process that a signal ended: 130 for SIGINT, 143 for SIGTERM."""
    return SIGNALLED + number


def in_prompt() -> bool:
    """Whether a person works in this process: a notebook or a Python prompt, which must not end with a run."""
    return hasattr(sys, "ps1") or "ipykernel" in sys.modules


@contextmanager
def _interruptible_here() -> Iterator[threading.Event]:
    """`interruptible` in a process that is no command: a notebook, or a test."""
    event = threading.Event()

    def handle(number: int, frame: Any) -> None:
        if event.is_set():
            _end_at_once(exit_code(number))
        event.set()
        _say_that_it_stops()

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say_that_it_stops() -> None:
    """On a terminal and in a notebook: a run needs seconds to end its workers and to save what they have."""
    with suppress(Exception):  # a terminal that is gone, say
        if sys.stderr.isatty() or in_prompt():
            print("\nstopping, saving what is finished; Ctrl-C again ends at once", file=sys.stderr, flush=True)


def _noted(number: int, frame: Any) -> None:
    """The signal's number is in the pipe already."""


def _end_at_once(code: int) -> None:
    """Leaves like a kill does, which every file here survives; the kernel ends Ray's processes with this one.

    An exception could be swallowed wherever it happens to strike, in a destructor say. In a notebook or a
    Python prompt it is raised all the same: these must not end with the run.
    """
    if in_prompt():
        raise KeyboardInterrupt
    with suppress(Exception):
        if sys.stdout.isatty():
            sys.stdout.write("\x1b[?25h\n")  # the live display had hidden the cursor
            sys.stdout.flush()
    os._exit(code)
