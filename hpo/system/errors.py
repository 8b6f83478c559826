"""Exit codes, and errors in the words of a command line."""

from __future__ import annotations

import sys

from cyclopts import CycloptsError

from hpo.system.streams import leads_nowhere
from hpo.system.text import printable

FAILED, BAD_INPUT = 1, 2


def user_message(error: Exception) -> str:
    """The error as a user needs it, without what would steer a terminal: a ValueError of our own comes wrapped in
    cyclopts' words."""
    own = error.__cause__ if isinstance(error, CycloptsError) and isinstance(error.__cause__, ValueError) else None
    return printable(" ".join(str(own or error).split()))


def reader_gone() -> int:
    """Whoever read our output has gone (`| head`)."""
    leads_nowhere()
    return FAILED


def machine_fails(error: OSError) -> int:
    """A disk that is full, a path that is too long: one line on stderr; returns the exit code."""
    print(f"hpo: {user_message(error)}", file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:
        leads_nowhere()
    return FAILED
