"""`hpo list`: the runs and trainings in a folder of results."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.table import Table

from hpo.cli.command import run_command
from hpo.store.listing import Entry, entries
from hpo.store.places import RESULTS
from hpo.system.terminal import console
from hpo.system.text import shown
from hpo.views.formats import MISSING, accuracy, megabytes, moment, number

MOST_MODELS = 3  # that are named


def main(argv: Sequence[str]) -> int:
    """Runs `hpo list`; returns its exit code."""
    return run_command("list", _list, argv)


def _list(*, results_dir: Path = RESULTS) -> None:
    """Lists runs and trainings, the newest first: state, architectures, trials, accuracies, start and size.

    Parameters
    ----------
    results_dir
        Folder of all runs.
    """
    found = list(entries(results_dir))
    if not found:
        print(f"no runs in {results_dir}; start one with: hpo run --model cnn --trials 20")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("name", "state", "trials", "best val", "test", "started", "size", "data set", "models"):
        table.add_column(name, justify="right" if name in ("trials", "best val", "test", "size") else "left")
    for entry in found:
        table.add_row(*(shown(cell) for cell in _cells(entry)))
    console().print(table)


def _cells(entry: Entry) -> tuple[str, ...]:
    trials = MISSING if entry.trials is None else number(entry.trials)
    wanted = f"/{number(entry.wanted)}" if entry.wanted is not None else ""
    models = ", ".join(entry.models[:MOST_MODELS]) + (", ..." if len(entry.models) > MOST_MODELS else "")
    measured = accuracy(entry.validation), accuracy(entry.test)
    return (
        *(entry.path.name, entry.state, f"{trials}{wanted}", *measured, _local(entry.began), megabytes(entry.size)),
        *(entry.dataset or MISSING, models or MISSING),
    )


def _local(time: str) -> str:
    """ "2026-11-27 14:05", in the time of this machine."""
    try:
        return moment(datetime.fromisoformat(time))
    except ValueError:
        return MISSING
