"""`hpo cache`: shows the decoded images that are kept on disk, or removes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from hpo.cli.command import run_command
from hpo.spec.settings import SWITCH
from hpo.system.terminal import console
from hpo.system.text import shown
from hpo.views.formats import moment, plural


def main(argv: Sequence[str]) -> int:
    """Runs `hpo cache`; returns its exit code."""
    return run_command("cache", _cache, argv)


def _cache(*, clear: Annotated[bool, SWITCH, Parameter(name="--clear")] = False) -> None:
    """Shows the data sets whose decoded images are kept on disk.

    Parameters
    ----------
    clear
        Removes them, except those that a run uses now.
    """
    from trainers.data.cache import data_folder, entries, limit_bytes, remove
    from trainers.data.free_memory import gigabytes

    root, found = data_folder(), entries(data_folder())
    if clear:
        removed = [entry for entry in found if remove(entry)]
        kept = len(found) - len(removed)
        print(f"{plural(len(removed), 'data set')} removed" + (f", {kept} in use" if kept else ""))
        return
    table = Table("source", "images", "size", "last used", box=None, pad_edge=False)
    for entry in reversed(found):
        count, height, width, channels = entry.shape
        used_at = moment(datetime.fromtimestamp(entry.used))
        table.add_row(
            shown(entry.source), f"{count:,} of {width}x{height}x{channels}", gigabytes(entry.nbytes), used_at
        )
    if found:
        console().print(table)
    total = sum(entry.nbytes for entry in found)
    print(f"{root}: {plural(len(found), 'data set')}, {gigabytes(total)} of at most {gigabytes(limit_bytes())}")
