"""The CSV files of a run: tables made from its trial records."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.system.files import write_atomically
from hpo.trials.messages import TrialReport, TrialRequest
from hpo.trials.metric import ACCURACY, label, score_of, value_of
from hpo.trials.ranking import DEFAULT, RankBy, Ranked, rank
from hpo.trials.records import TrialRecord, columns, config_columns, metric_columns, to_row

if TYPE_CHECKING:
    import pandas as pd

    from hpo.trials.finalists import Finalist
    from hpo.trials.significance import Measured


def trials_frame(ranked: Sequence[Ranked]) -> pd.DataFrame:
    """Makes trials.csv: every trial, ranked."""
    import pandas as pd

    keys = {key for item in ranked for key in item.record.config}
    rows = [to_row(item.record, item.rank, item.pareto) for item in ranked]
    return pd.DataFrame(rows, columns=columns(keys, {item.record.metric for item in ranked}))


def curves_frame(records: Sequence[TrialRecord]) -> pd.DataFrame:
    """Makes curves.csv: one row per trial and epoch."""
    import pandas as pd

    order = ["trial_id", "model", "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy"]
    order += [*metric_columns({record.metric for record in records}), "train_s", "eval_s", "images"]
    pairs = [(record, epoch) for record in records for epoch in record.curve]
    rows = [{"trial_id": r.trial_id, "model": r.model, **epoch, **_metric(r, epoch)} for r, epoch in pairs]
    return pd.DataFrame(rows, columns=order)


def leaderboard_frame(ranked: Sequence[Ranked], finalists: Sequence[Finalist] = ()) -> pd.DataFrame:
    """Makes leaderboard.csv: the finalists by their metric on the test images, then the best trial of each other
    architecture.

    The column `trials` has the number of trials that the architecture's finalists were chosen from.
    """
    import pandas as pd

    trials = Counter(item.record.model for item in ranked)
    rows = [{**to_row(finalist.record, 0, False), **_tested(finalist)} for finalist in finalists]
    models = {finalist.record.model for finalist in finalists}
    for item in ranked:
        if item.record.model not in models:
            models.add(item.record.model)
            rows.append(to_row(item.record, 0, False))
    for number, row in enumerate(rows, start=1):
        row |= {"rank": number, "trials": trials[row["model"]]}
    keys, metrics = {key for item in ranked for key in item.record.config}, {item.record.metric for item in ranked}
    further = config_columns(keys)
    measured = ["parameters", "wall_time_s", "state", "epochs", "best_epoch"]
    tested = [f"test_{label(metric)}{part}" for metric in (*sorted(metrics - {ACCURACY}), ACCURACY) for part in _PARTS]
    validated = [*metric_columns(metrics), "val_accuracy"]
    order = ["rank", "model", *tested, "tied_with_best", *validated, "optimism", *measured, *further, "test_accuracies"]
    return pd.DataFrame(rows, columns=[*order, "final_seeds", "trials", "dataset", "trial_id"])


_PARTS = ("_mean", "_std", "_low", "_high")


def _metric(record: TrialRecord, epoch: Mapping[str, Any]) -> dict[str, Any]:
    """The metric's column of an epoch, where it is not the accuracy."""
    return {column: value_of(record.metric, score_of(epoch)) for column in metric_columns({record.metric})}


def _tested(finalist: Finalist) -> dict[str, Any]:
    """A finalist's columns. Those with one number per seed are one cell, with spaces between the numbers."""
    accuracies, metric = finalist.right.mean(axis=1), label(finalist.record.metric)
    return {
        **_measured(ACCURACY, finalist.accuracy),
        **_measured(metric, finalist.measured),
        "tied_with_best": finalist.tied_with_best,
        "optimism": finalist.optimism,
        "test_accuracies": " ".join(f"{accuracy:.6g}" for accuracy in accuracies),
        "final_seeds": " ".join(map(str, finalist.seeds)),
    }


def _measured(metric: str, measured: Measured) -> dict[str, Any]:
    return {f"test_{metric}{part}": getattr(measured, part[1:]) for part in _PARTS}


class LiveTrials:
    """Keeps trials.csv up to date while a search runs, at most once a second and in at most 5 % of the time."""

    def __init__(self, path: Path, records: list[TrialRecord], by: RankBy = DEFAULT) -> None:
        """`records` is the list that the caller appends to."""
        self.path, self.records, self.by = path, records, by
        self._not_before = 0.0

    def started(self, request: TrialRequest) -> None: ...

    def reported(self, request: TrialRequest, report: TrialReport) -> None: ...

    def finished(self, record: TrialRecord) -> None:
        """Writes the table with the new record in it, if the last writing is long enough ago."""
        started = time.monotonic()
        if started >= self._not_before:
            self.write()
            ended = time.monotonic()
            self._not_before = ended + max(1.0, 20 * (ended - started))

    def write(self) -> None:
        """Writes the file now. Raises OSError."""
        write_atomically(self.path, trials_frame(rank(self.records, self.by)).to_csv(index=False))
