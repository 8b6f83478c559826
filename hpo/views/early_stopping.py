"""What a user is told of early stopping."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.trials.rung_report import RungReport
from hpo.views.formats import correlation, plural


def advice(rungs: Sequence[RungReport]) -> str:
    """A sentence that begins with "Hint: " about the rung that predicts worst, and what to do; "" where none is bad."""
    bad = [rung for rung in rungs if rung.predicts_badly]
    if not bad:
        return ""
    worst = min(bad, key=lambda rung: rung.rank_correlation or 0.0)
    measured = f"rank correlation {correlation(worst.rank_correlation)} over {worst.compared} trials"
    return (
        f"Hint: the accuracy of {worst.model} after {plural(worst.epochs, 'epoch')} says little about that after "
        f"{worst.next_epochs} ({measured}); a new run with --scheduler none trains every trial to its end."
    )
