"""What every subcommand of `hpo` shares: flags from a function's signature, mistakes in one line, exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from hpo.system.interrupt import INTERRUPTED
from hpo.system.streams import leads_nowhere, prepare_streams
from hpo.system.texts import printable

FAILED, BAD_INPUT = 1, 2
OwnModel = Annotated[
    str | None,
    Parameter(help="MODULE:NAME of an architecture of your own: code that a file names runs only if you name it too."),
]


def run_command(name: str, function: Callable[..., int | None], argv: Sequence[str]) -> int:
    """Calls `function` with the flags in `argv`; returns the exit code, what it returns or 0.

    A ValueError is the user's mistake, or a file's: one line on stderr, exit code 2. An OSError is the machine's: one
    line, exit code 1.
    """
    prepare_streams()
    app = App(name=f"hpo {name}", version_flags=(), result_action="return_value")
    app.default(function)
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # where a user's own architecture lies
    try:
        return app(list(argv), exit_on_error=False, print_error=False) or 0
    except (CycloptsError, ValueError) as error:
        print(f"hpo: {one_line(error)}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return reader_gone()
    except OSError as error:
        return machine_fails(error)


def one_line(error: Exception) -> str:
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
    print(f"hpo: {one_line(error)}", file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:
        leads_nowhere()
    return FAILED


def check_output(flag: str, path: Path, suffix: str) -> None:
    """ValueError unless `path` can be written and has the suffix of what is written: so that no slip replaces
    weights or pictures. Asked before any work is done."""
    if path.suffix.lower() != suffix:
        raise ValueError(f"{flag} {path}: must end in {suffix}")
    if path.exists() and not path.is_file():
        raise ValueError(f"{flag} {path}: is there and no plain file")
    if not os.access(path.parent, os.W_OK):
        reason = "cannot be written to" if path.parent.is_dir() else "is no folder"
        raise ValueError(f"{flag} {path}: {path.parent} {reason}")


def console() -> Console:
    """The terminal; a pipe or a file is as wide as tables need."""
    terminal = Console()
    if not terminal.is_terminal:
        terminal.width = 160
    return terminal
