"""`hpo logs`: the log of a run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hpo.cli.command import run_command
from hpo.store.stored_run import read_run
from hpo.system.errors import UserError


def main(argv: Sequence[str]) -> int:
    """Runs `hpo logs ...`; returns its exit code."""
    return run_command("logs", _logs, argv)


def _logs(run: Path, /) -> None:
    """Prints the log of a run, logs/hpo.log, and names what its workers printed.

    Parameters
    ----------
    run
        A run: NAME, or its folder.
    """
    folder = read_run(run).path / "logs"
    log = folder / "hpo.log"
    try:
        print(log.read_text(encoding="utf-8", errors="replace"), end="", flush=True)
    except OSError as error:
        raise UserError(f"{log}: cannot be read ({error.strerror})") from error
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != log:
            print(f"see also: {path}", file=sys.stderr)
