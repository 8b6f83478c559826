"""Finished trials that the journal has lost, brought back from study.db and trials.csv.

The first has all of a trial but what was measured beside its accuracy, the second all but its curve.
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

from hpo.store.run_folder import RunFolder
from hpo.trials.records import USUAL_CONFIG, TrialRecord, TrialState, make_trial_id

_LOST = "brought back from study.db: what was measured beside its accuracy is lost"


@dataclass(frozen=True)
class Lost:
    """What is known of an architecture, to bring its trials back. trials: those of its Optuna study, None where there
    is none. accuracy_at: its place among the study's objectives. seed: of the run, to which a trial adds its number.
    rejects: whether the search also asked for configurations that are no trials, as those over --max-parameters."""

    model: str
    parameters: int
    dataset: str
    precision: str
    seed: int
    distributions: Mapping[str, BaseDistribution]
    trials: Sequence[FrozenTrial] | None
    accuracy_at: int = 0
    rejects: bool = False


def brought_back(folder: RunFolder, lost: Lost, known: set[str]) -> Iterator[TrialRecord]:
    """Every finished trial of the architecture that study.db or trials.csv has and the journal, which has the `known`
    ones, has not; as far as they have it."""
    rows = _rows(folder.trials_csv)
    trials = {make_trial_id(lost.model, trial.number): trial for trial in lost.trials or ()}
    missing = sorted({*trials, *rows} - known)
    curves = _curves(folder.curves_csv) if missing else {}
    for name in missing:
        trial, row = trials.get(name), rows.get(name)
        record = _from_row(row, lost, trial) if row else None
        # A row of a trial that the study does not know is believed where the study knows none at all.
        if record is not None and (trial is not None or not trials):
            curve = curves.get(name) or _curve_of(trial)
            yield replace(record, curve=curve if len(curve) == record.epochs else [])
        elif trial is not None and (found := _from_trial(trial, name, lost)):
            yield found


def _from_row(row: Mapping[str, str], lost: Lost, trial: FrozenTrial | None) -> TrialRecord | None:
    """The record in a row of trials.csv; None where it is damaged or of another trial."""
    try:
        config = _config(row, lost.distributions)
        number = int(row["trial_id"].rpartition("-")[2])
        if row["model"] != lost.model or row["trial_id"] != make_trial_id(lost.model, number):
            return None
        if trial is not None and not _is_same(config, trial.params):
            return None
        values: dict[str, Any] = {name: row[name] for name in ("trial_id", "model", "dataset", "precision", "error")}
        values |= {name: row[name] for name in ("device", "node", "state")}
        counts = ("seed", "parameters", "epochs", "workers", "lanes", "retries")
        values |= {name: int(float(row[name])) for name in counts}
        values |= {name: float(row[name]) for name in ("wall_time_s", "queue_s", "setup_s", "train_s", "eval_s")}
        measured = ("val_accuracy", "val_loss", "train_accuracy", "train_loss", "images_per_s")
        values |= {name: float(row[name]) if row[name] else None for name in measured}
        values["best_epoch"] = int(float(row["best_epoch"])) if row["best_epoch"] else None
        values["share_s"] = values["train_s"] + values["eval_s"]
        return TrialRecord.from_dict({**values, "config": dict(trial.params) if trial else config})
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _from_trial(trial: FrozenTrial, name: str, lost: Lost) -> TrialRecord | None:
    """What the study alone knows of a trial that is over; None of one that is not, or that was no trial of the run."""
    curve = _curve_of(trial)
    if not trial.state.is_finished() or set(trial.params) != set(lost.distributions):
        return None
    if trial.state != OptunaState.COMPLETE and not curve and lost.rejects:
        return None
    best = max(curve, key=lambda epoch: epoch["val_accuracy"], default=None)
    accuracy = best["val_accuracy"] if best else trial.values[lost.accuracy_at] if trial.values else None
    states = {OptunaState.COMPLETE: TrialState.COMPLETED, OptunaState.FAIL: TrialState.FAILED}
    return TrialRecord(
        trial_id=name,
        model=lost.model,
        state=states.get(trial.state, TrialState.STOPPED if curve else TrialState.DIVERGED),
        config=dict(trial.params),
        seed=lost.seed + trial.number,
        parameters=lost.parameters,
        dataset=lost.dataset,
        precision=lost.precision,
        val_accuracy=accuracy,
        epochs=len(curve),
        best_epoch=best["epoch"] if best else None,
        wall_time_s=_seconds(trial.datetime_start, trial.datetime_complete),
        error=_LOST,
        curve=curve,
    )


def _curve_of(trial: FrozenTrial | None) -> list[dict[str, Any]]:
    known = ("train_loss", "train_accuracy", "val_loss", "train_s", "eval_s", "images")
    values = sorted(trial.intermediate_values.items()) if trial else []
    finite = [(epoch, value) for epoch, value in values if math.isfinite(value)]
    return [{"epoch": epoch, **dict.fromkeys(known), "val_accuracy": value} for epoch, value in finite]


def _rows(path: Path) -> dict[str, dict[str, str]]:
    """The rows of trials.csv by trial, as far as it can be read."""
    return {row["trial_id"]: row for row in _read_csv(path) if row.get("trial_id")}


def _curves(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The curves in curves.csv by trial, as far as it can be read."""
    curves: dict[str, list[dict[str, Any]]] = {}
    for row in _read_csv(path):
        try:
            trial_id, epoch = row.pop("trial_id"), int(row.pop("epoch"))
            row.pop("model")
            values = {key: float(value) if value else None for key, value in row.items()}
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
    """The hyperparameters of a row; ValueError or KeyError where one is not of the space."""
    config = {}
    for key, distribution in distributions.items():
        text = row[key if key in USUAL_CONFIG else f"config_{key}"]
        config[key] = _value(text, distribution)
    return config


def _value(text: str, distribution: BaseDistribution) -> Any:
    choices = getattr(distribution, "choices", None)
    if choices is not None:
        (value,) = (choice for choice in choices if _is_text_of(choice, text))
        return value
    number = float(text)
    value = int(number) if isinstance(distribution.low, int) else number  # type: ignore[attr-defined]
    if not distribution._contains(distribution.to_internal_repr(value)):
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
