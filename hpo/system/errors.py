"""Exit codes, and errors in the words of a command line."""

from __future__ import annotations

import sys

from cyclopts import CycloptsError

from cluster.errors import ClusterError
from hpo.system.streams import leads_nowhere
from hpo.system.text import printable
from models.errors import ModelError
from trainers.errors import DataError

FAILED, BAD_INPUT = 1, 2


class UserError(ValueError):
    """A mistake of the user's: a flag, a file or a run that cannot be used.

    Its text is one line, with the flag, the value and the choices. A command prints it and ends with exit code 2. Any
    other exception is a fault of Podium's own.
    """


# What `models`, `trainers` and `cluster` raise for the same: they do not know this package.
USER_ERRORS = (UserError, DataError, ModelError, ClusterError)


def user_message(error: Exception) -> str:
    """The error as a user needs it, without what would steer a terminal. Cyclopts wraps errors of ours in its own."""
    own = error.__cause__ if isinstance(error, CycloptsError) and isinstance(error.__cause__, USER_ERRORS) else None
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
