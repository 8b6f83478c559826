"""`hpo show`: what came of a run, in the words of its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hpo.cli.command import run_command
from hpo.store.stored_run import read_run
from hpo.system.text import say
from hpo.views.formats import plural


def main(argv: Sequence[str]) -> int:
    """Runs `hpo show ...`; returns its exit code."""
    return run_command("show", _show, argv)


def _show(run: Path, /) -> None:
    """Shows the best trials of a run, its finals, where the time went and where the files are, as the run did at its
    end.

    Parameters
    ----------
    run
        A run: NAME, or its folder. It may still be at work.
    """
    from hpo.views.summary import show_run

    stored = read_run(run)
    done, data = plural(len(stored.records), "finished trial"), stored.study["data"]["name"]
    say(f"{stored.name}: {stored.study['state']}, {done} of {', '.join(stored.study['models'])} on {data}")
    if stored.records:
        show_run(stored)
