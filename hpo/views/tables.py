"""Tables of trials and of finals for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from hpo.system.text import shown
from hpo.trials.ranking import Ranked
from hpo.views.progress import accuracy

if TYPE_CHECKING:
    from hpo.trials.finalists import Finalist


def finals_table(finalists: Sequence[Finalist]) -> Table:
    """The finalists, best first, one a line."""
    table = Table(box=None, pad_edge=False)
    for name in ("rank", "trial", "test acc", "95 % interval", "val acc", "optimism", "parameters"):
        table.add_column(name, justify="left" if name == "trial" else "right", no_wrap=True)
    for number, finalist in enumerate(finalists, start=1):
        measured, record = finalist.measured, finalist.record
        table.add_row(
            f"{number}{'=' if finalist.tied_with_best and len(finalists) > 1 else ' '}",
            shown(record.trial_id),
            accuracy(measured.mean),
            f"{measured.low:.4f} - {measured.high:.4f}",
            accuracy(record.val_accuracy),
            f"{finalist.optimism:+.4f}",
            f"{record.parameters:,}",
        )
    return table


def best_table(ranked: list[Ranked], top: int = 10) -> Table:
    """The first trials, one a line."""
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
            f"{record.parameters:,}",
            f"{record.wall_time_s:.1f}s",
            str(record.epochs),
            record.state.value,
            shown(" ".join(_short(key, value) for key, value in record.config.items())),
        )
    return table


def _short(key: str, value: Any) -> str:
    """ "lr=0.00123"; a word (an activation, an optimizer) needs no name."""
    return value if isinstance(value, str) else f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}"
