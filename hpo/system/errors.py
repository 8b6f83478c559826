"""Errors in the words of a command line, and the exit codes they lead to."""

from __future__ import annotations

import sys

from cyclopts import CycloptsError, UnusedCliTokensError

from cluster.errors import BAD_INPUT, FAILED, INTERRUPTED, ClusterError
from hpo.system.interrupt import interrupted_code
from hpo.system.streams import silence_stdout
from hpo.system.text import on_one_line, printable
from models.errors import ModelError
from trainers.errors import DataError

__all__ = [
    "BAD_INPUT",
    "EXPECTED_ERRORS",
    "FAILED",
    "INTERRUPTED",
    "USER_ERRORS",
    "UserError",
    "report_error",
    "user_message",
]


class UserError(ValueError):
    """A mistake of the user's: a flag, a file or a run that cannot be used.

    Its text is one line, with the flag, the value and the choices. A command prints it and ends with exit code 2. Any
    other exception is a fault of Podium's own.
    """


# What `models`, `trainers` and `cluster` raise for the same: they do not know this package.
USER_ERRORS = (UserError, DataError, ModelError, ClusterError)

# What a command answers in one line. Anything else is a fault of Podium's own, and Python prints its traceback.
EXPECTED_ERRORS = (CycloptsError, *USER_ERRORS, KeyboardInterrupt, OSError)


def report_error(error: BaseException) -> int:
    """Prints one of the EXPECTED_ERRORS as a command does; returns the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return interrupted_code(error)
    if isinstance(error, BrokenPipeError):  # the reader of the output has gone (`| head`)
        silence_stdout()
        return FAILED
    print(f"hpo: {user_message(error)}", file=sys.stderr)
    if not isinstance(error, OSError):
        return BAD_INPUT
    try:  # what could not be written is lost; Python would complain of it once more at exit
        sys.stdout.flush()
    except OSError:
        silence_stdout()
    return FAILED


def user_message(error: BaseException) -> str:
    """The error as a user needs it, without what would steer a terminal. Cyclopts wraps errors of ours in its own."""
    if isinstance(error, UnusedCliTokensError):
        return f"unexpected: {printable(' '.join(error.unused_tokens or ()))}"
    own = error.__cause__ if isinstance(error, CycloptsError) and isinstance(error.__cause__, USER_ERRORS) else None
    return printable(on_one_line(own or error))
