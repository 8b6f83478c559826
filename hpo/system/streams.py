"""Standard input, output and error, whatever state the process was started in."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress

from hpo.system.text import say


def restart_in_utf8_mode() -> None:
    """Starts the command anew in Python's UTF-8 mode where the locale (LANG=C, say) has another encoding: Ray takes no
    path with letters that its own lacks. Its workers inherit it."""
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def prepare_streams() -> None:
    """Replaces streams that are closed by ones that lead nowhere, and lets texts pass that an encoding has no
    characters for. First of all, so that no file of ours gets a closed stream's number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115 - for good
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() != "utf-8":
            stream.reconfigure(errors="backslashreplace")


def tell(text: str) -> None:
    """Prints a line that nothing depends on: it is lost where nobody can take it, as on a full disk."""
    with suppress(OSError):
        say(text)


def silence_stdout() -> None:
    """From now on standard output is not written to: Python would complain of it once more at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
