"""Tables of trials and finalists for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from hpo.system.text import shown
from hpo.trials.ranking import Ranked
from hpo.views.formats import accuracy, difference, hyperparameter, interval, number, seconds

if TYPE_CHECKING:
    from hpo.trials.finalists import Finalist


def finals_table(finalists: Sequence[Finalist]) -> Table:
    """The finalists, best first, one per line. "=" marks those that are tied with the best."""
    table = Table(box=None, pad_edge=False)
    for name in ("rank", "trial", "test acc", "95 % interval", "val acc", "optimism", "parameters"):
        table.add_column(name, justify="left" if name == "trial" else "right", no_wrap=True)
    for place, finalist in enumerate(finalists, start=1):
        measured, record = finalist.measured, finalist.record
        table.add_row(
            f"{place}{'=' if finalist.tied_with_best and len(finalists) > 1 else ' '}",
            shown(record.trial_id),
            accuracy(measured.mean),
            interval(measured.low, measured.high),
            accuracy(record.val_accuracy),
            difference(finalist.optimism),
            number(record.parameters),
        )
    return table


def best_table(ranked: list[Ranked], top: int = 10) -> Table:
    """The first `top` trials, one per line. "*" marks those on the Pareto front."""
    table = Table(box=None, pad_edge=False)
    for name in ("rank", "trial", "val acc", "parameters", "time", "epochs", "state", "configuration"):
        left = name in ("trial", "state", "configuration")
        table.add_column(name, justify="left" if left else "right", no_wrap=name != "configuration")
    for item in ranked[:top]:
        record = item.record
        table.add_row(
            f"{item.rank}{'*' if item.pareto else ' '}",
            shown(record.trial_id),
            accuracy(record.val_accuracy),
            number(record.parameters),
            seconds(record.wall_time_s),
            str(record.epochs),
            record.state.value,
            shown(" ".join(_short(key, value) for key, value in record.config.items())),
        )
    return table


def _short(key: str, value: Any) -> str:
    """ "lr=0.00123"; a text (an activation, an optimizer) is shown without its name."""
    return value if isinstance(value, str) else f"{key}={hyperparameter(value)}"
