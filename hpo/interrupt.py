"""Ctrl-C and SIGTERM: the first asks the run to end well, the second ends it at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPTED = 130


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; a second one ends the process.

    Entered after Ray has started, because Ray puts a SIGTERM handler of its own in place. Outside the main
    thread, where Python delivers no signals, the event is never set.
    """
    event = threading.Event()

    def handle(number: int, frame: Any) -> None:
        if event.is_set():
            _end_at_once()
        event.set()

    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interrupting() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as Ctrl-C does. Nothing is changed outside the main thread."""

    def handle(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def in_prompt() -> bool:
    """Whether a person works in this process: a notebook or a Python prompt, which must not end with a run."""
    return hasattr(sys, "ps1") or "ipykernel" in sys.modules


def _end_at_once() -> None:
    """Leaves like a kill does, which every file here survives, and takes Ray's processes along.

    An exception could be swallowed wherever it happens to strike, in a destructor say. In a notebook or a
    Python prompt it is raised all the same: these must not end with the run.
    """
    if in_prompt():
        raise KeyboardInterrupt
    if sys.stdout.isatty():
        sys.stdout.write("\x1b[?25h\n")  # the live display had hidden the cursor
        sys.stdout.flush()
    os._exit(INTERRUPTED)
