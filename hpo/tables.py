"""The CSV files of a run, built from its records and written atomically."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.journal import write_atomically
from hpo.ranking import Ranked, rank
from hpo.records import USUAL_CONFIG, TrialRecord, columns, to_row

if TYPE_CHECKING:
    import pandas as pd


def trials_frame(ranked: Sequence[Ranked]) -> pd.DataFrame:
    """Every trial, ranked, in the columns of trials.csv."""
    import pandas as pd

    keys = {key for item in ranked for key in item.record.config}
    rows = [to_row(item.record, item.rank, item.pareto) for item in ranked]
    return pd.DataFrame(rows, columns=columns(keys))


def curves_frame(records: Sequence[TrialRecord]) -> pd.DataFrame:
    """One row per trial and epoch."""
    import pandas as pd

    order = ["trial_id", "model", "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy"]
    order += ["train_s", "eval_s", "images"]
    rows = [{"trial_id": r.trial_id, "model": r.model, **epoch} for r in records for epoch in r.curve]
    return pd.DataFrame(rows, columns=order)


def leaderboard_frame(ranked: Sequence[Ranked]) -> pd.DataFrame:
    """The best trial of each architecture, and how many trials it was chosen from."""
    import pandas as pd

    best: dict[str, dict[str, Any]] = {}
    for item in ranked:
        row = best.setdefault(item.record.model, {**to_row(item.record, len(best) + 1, False), "trials": 0})
        row["trials"] += 1
    keys = {key for item in ranked for key in item.record.config}
    further = [name for name in columns(keys) if name in USUAL_CONFIG or name.startswith("config_")]
    order = ["rank", "model", "val_accuracy", "parameters", "wall_time_s", "state", "epochs", "best_epoch"]
    return pd.DataFrame(list(best.values()), columns=[*order, *further, "trials", "dataset", "trial_id"])


class LiveTrials:
    """trials.csv while a search runs: rewritten at most every second, and never for over 5 % of the time."""

    def __init__(self, path: Path, records: list[TrialRecord]) -> None:
        self.path, self.records = path, records
        self._not_before = 0.0

    def added(self) -> None:
        """Call after each new record."""
        started = time.monotonic()
        if started >= self._not_before:
            self.write()
            ended = time.monotonic()
            self._not_before = ended + max(1.0, 20 * (ended - started))

    def write(self) -> None:
        write_atomically(self.path, trials_frame(rank(self.records)).to_csv(index=False))
