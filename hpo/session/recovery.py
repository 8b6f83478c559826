"""Recovers finished trials that are missing in the journal, from study.db and trials.csv.

The database lacks what was measured beside the accuracy; trials.csv lacks only the curves, which are in curves.csv.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from hpo.store.database.optuna_private import contains
from hpo.store.run_folder import RunFolder
from hpo.trials.metric import ACCURACY, score_of, value_of
from hpo.trials.records import TrialRecord, TrialState, column_of, make_trial_id, metric_columns

_LOST = "recovered from study.db, which has only the metric; the other measurements are lost"


@dataclass(frozen=True)
class RecoverySource:
    """What is known about an architecture of a run, to recover its trials."""

    model: str
    parameters: int
    dataset: str
    precision: str
    seed: int
    """The seed of the run; a trial's is this plus its number."""
    distributions: Mapping[str, BaseDistribution]
    trials: Sequence[FrozenTrial] | None
    """The trials of its Optuna study; None without a study."""
    metric: str = ACCURACY
    score_at: int = 0
    """The index of the metric's score among the study's objectives."""
    rejects: bool = False
    """Whether the study has configurations that were never trials, such as those over --max-parameters."""


def recovered_trials(folder: RunFolder, source: RecoverySource, known: set[str]) -> Iterator[TrialRecord]:
    """Yields the architecture's finished trials that are in study.db or trials.csv, but not among the `known` ones of
    the journal."""
    rows = _rows(folder.trials_csv)
    trials = {make_trial_id(source.model, trial.number): trial for trial in source.trials or ()}
    missing = sorted({*trials, *rows} - known)
    curves = _curves(folder.curves_csv, source.metric) if missing else {}
    for name in missing:
        trial, row = trials.get(name), rows.get(name)
        record = _from_row(row, source, trial) if row else None
        # A row whose trial is not in the study is used only when the study is empty.
        if record is not None and (trial is not None or not trials):
            curve = curves.get(name) or _curve_of(trial, source.metric)
            yield replace(record, curve=curve if len(curve) == record.epochs else [])
        elif trial is not None and (found := _from_trial(trial, name, source)):
            yield found


def _from_row(row: Mapping[str, str], source: RecoverySource, trial: FrozenTrial | None) -> TrialRecord | None:
    """Makes the record of a row of trials.csv; None for a row that is damaged or of another trial."""
    try:
        config = _config(row, source.distributions)
        number = int(row["trial_id"].rpartition("-")[2])
        if row["model"] != source.model or row["trial_id"] != make_trial_id(source.model, number):
            return None
        if trial is not None and not _is_same(config, trial.params):
            return None
        values: dict[str, Any] = {name: row[name] for name in ("trial_id", "model", "dataset", "precision", "error")}
        values |= {name: row[name] for name in ("device", "node", "state")}
        counts = ("seed", "parameters", "epochs", "workers", "group_size", "retries")
        values |= {name: int(float(row[name])) for name in counts}
        values |= {name: float(row[name]) for name in ("wall_time_s", "queue_s", "setup_s", "train_s", "eval_s")}
        measured = ("val_accuracy", "val_loss", "train_accuracy", "train_loss", "images_per_s")
        values |= {name: float(row[name]) if row[name] else None for name in measured}
        values["metric"] = source.metric
        for column in metric_columns({source.metric}):
            values["val_score"] = value_of(source.metric, float(row[column]) if row[column] else None)
        values["best_epoch"] = int(float(row["best_epoch"])) if row["best_epoch"] else None
        values["share_s"] = values["train_s"] + values["eval_s"]
        return TrialRecord.from_dict({**values, "config": dict(trial.params) if trial else config})
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _from_trial(trial: FrozenTrial, name: str, source: RecoverySource) -> TrialRecord | None:
    """Makes the record of a trial in the study alone; None for an unfinished trial, or one that the run never had."""
    curve = _curve_of(trial, source.metric)
    if not trial.state.is_finished() or set(trial.params) != set(source.distributions):
        return None
    if trial.state != OptunaState.COMPLETE and not curve and source.rejects:
        return None
    best = max(curve, key=lambda epoch: score_of(epoch) or 0.0, default=None)
    score = score_of(best) if best else trial.values[source.score_at] if trial.values else None
    states = {OptunaState.COMPLETE: TrialState.COMPLETED, OptunaState.FAIL: TrialState.FAILED}
    return TrialRecord(
        trial_id=name,
        model=source.model,
        state=states.get(trial.state, TrialState.STOPPED if curve else TrialState.DIVERGED),
        config=dict(trial.params),
        seed=source.seed + trial.number,
        parameters=source.parameters,
        dataset=source.dataset,
        precision=source.precision,
        metric=source.metric,
        val_accuracy=score if source.metric == ACCURACY else None,
        val_score=None if source.metric == ACCURACY else score,
        epochs=len(curve),
        best_epoch=best["epoch"] if best else None,
        wall_time_s=_seconds(trial.datetime_start, trial.datetime_complete),
        error=_LOST,
        curve=curve,
    )


def _curve_of(trial: FrozenTrial | None, metric: str) -> list[dict[str, Any]]:
    known = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "train_s", "eval_s", "images")
    value_key = "val_accuracy" if metric == ACCURACY else "val_score"
    values = sorted(trial.intermediate_values.items()) if trial else []
    finite = [(epoch, value) for epoch, value in values if math.isfinite(value)]
    return [{"epoch": epoch, **dict.fromkeys(known), value_key: value} for epoch, value in finite]


def _rows(path: Path) -> dict[str, dict[str, str]]:
    """Reads the rows of trials.csv by trial, as far as possible."""
    return {row["trial_id"]: row for row in _read_csv(path) if row.get("trial_id")}


def _curves(path: Path, metric: str) -> dict[str, list[dict[str, Any]]]:
    """Reads the curves in curves.csv by trial, as far as possible."""
    curves: dict[str, list[dict[str, Any]]] = {}
    for row in _read_csv(path):
        try:
            trial_id, epoch = row.pop("trial_id"), int(row.pop("epoch"))
            row.pop("model")
            values = {key: float(value) if value else None for key, value in row.items()}
            for column in metric_columns({metric}):
                values["val_score"] = value_of(metric, values.pop(column))
        except (KeyError, TypeError, ValueError):
            continue
        curves.setdefault(trial_id, []).append({"epoch": epoch, **values})
    return curves


def _read_csv(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            return list(csv.DictReader(file))
    except (OSError, csv.Error):
        return []


def _config(row: Mapping[str, str], distributions: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """Reads the hyperparameters of a row. Raises ValueError or KeyError for one outside its distribution."""
    config = {}
    for key, distribution in distributions.items():
        config[key] = _value(row[column_of(key)], distribution)
    return config


def _value(text: str, distribution: BaseDistribution) -> Any:
    choices = getattr(distribution, "choices", None)
    if choices is not None:
        (value,) = (choice for choice in choices if _is_text_of(choice, text))
        return value
    number = float(text)
    value = int(number) if isinstance(distribution.low, int) else number  # type: ignore[attr-defined]
    if not contains(distribution, value):
        raise ValueError(f"{text} is outside {distribution}")
    return value


def _is_text_of(choice: Any, text: str) -> bool:
    if isinstance(choice, int | float) and not isinstance(choice, bool):
        try:
            return float(text) == choice
        except ValueError:
            return False
    return str(choice) == text


def _is_same(config: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    return config.keys() == params.keys() and all(
        math.isclose(value, params[key]) if isinstance(value, float) else value == params[key]
        for key, value in config.items()
    )


def _seconds(start: datetime | None, end: datetime | None) -> float:
    return max(0.0, (end - start).total_seconds()) if start and end else 0.0
