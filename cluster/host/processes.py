"""Processes that this one started, and theirs: found and ended by what /proc says."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """The descendants of a process, nearest first; none where there is no /proc.

    They are found by each process's parent. The lists of children in /proc miss some that a thread started, or that
    change while they are read.
    """
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        if fields := stat_fields(int(entry.name)):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found[1:]


def born(pid: int) -> int:
    """The time a process was started at, in ticks since boot; 0 where there is no such process."""
    fields = stat_fields(pid)
    return int(fields[19]) if fields else 0


def is_running(pid: int) -> bool:
    fields = stat_fields(pid)
    return bool(fields) and fields[0] != "Z"


def end_all(pids: Sequence[int], seconds: float) -> None:
    """Waits until these processes have ended; kills those that still run after `seconds`."""
    births = {pid: born(pid) for pid in pids}

    def left() -> list[int]:
        return [pid for pid, birth in births.items() if birth and is_running(pid) and born(pid) == birth]

    if not wait_until(lambda: not left(), seconds):
        for pid in left():
            send(pid, signal.SIGKILL)
        wait_until(lambda: not left(), 1.0)


def send(pid: int, number: signal.Signals) -> None:
    """Sends a signal to a process, which may have ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = 0.05) -> bool:
    """Waits for a condition; returns whether it came true in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(pause)
    return True


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name, which may hold anything; none where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
