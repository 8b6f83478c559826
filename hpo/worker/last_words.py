"""How a worker's process ended, written down by itself: nobody else on its machine is told.

A fault (a segmentation fault in a user's network, say) leaves Python's traceback in a file beside Ray's logs, a call of
os._exit its code. A process that was killed leaves nothing. cluster/host/worker_logs.py reads it.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from typing import IO

from cluster.host.worker_logs import CRASH
from cluster.ray_private import logs_folder

_exit = os._exit
_file: IO[str] | None = None


def write_last_words() -> None:
    """From now on this process's end is written down; only the first call does something."""
    global _file
    if _file is not None:
        return
    logs = logs_folder()
    _file = open(f"{logs}/{CRASH}{os.getpid()}.err", "a", buffering=1)  # noqa: SIM115 - until the process ends
    faulthandler.enable(_file)
    os._exit = _announced(os.getpid())  # type: ignore[assignment]


def trains(name: str) -> None:
    """Says what is trained in this process from now on."""
    if _file is not None:
        _file.write(f":trains {name}\n")


def last_words_file() -> IO[str]:
    """The process's own file.

    What goes to stderr in a process's last moment may be lost: with log rotation, a thread of the same process reads it
    through a pipe.
    """
    return _file or sys.stderr


def leave(code: int) -> None:
    """Ends the process without a word, as Podium does where another one takes over."""
    _exit(code)


def _announced(pid: int) -> object:
    def announce(code: int) -> None:
        if os.getpid() == pid and _file is not None:  # a forked child ends in this way by itself
            _file.write(f"os._exit({code})\n")
            faulthandler.dump_traceback(_file)
        _exit(code)

    return announce
