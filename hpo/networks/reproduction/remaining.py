"""How long the runs that are still to be trained will take, by those that were. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hpo.networks.reproduction.baseline_run import BaselineRun


def remaining_s(todo: Sequence[BaselineRun], rows: Iterable[Mapping[str, Any]], at_once: int) -> float | None:
    """Seconds until all of `todo` are trained, so many at once; None while it cannot be told of one of them.

    rows: the journal. The last run of the same recipe and precision, with any seed, tells the time of an epoch.
    """
    epoch_minutes = {
        (row["system"], row["model"], row["precision"]): row["minutes"] / row["epochs"]
        for row in rows
        if "error" not in row
    }
    known = [epoch_minutes.get((run.recipe.system, run.recipe.model, run.precision)) for run in todo]
    minutes: list[float] = [each * run.epochs for each, run in zip(known, todo, strict=True) if each is not None]
    if len(minutes) < len(todo):
        return None
    return 60 * max(sum(minutes) / at_once, max(minutes, default=0.0))
