"""`TrialRecord`: one trial's row, whatever became of it, and the columns of trials.csv."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from hpo.trials.metric import ACCURACY, label, score_of, value_of


class TrialState(StrEnum):
    """What has become of a trial. The first three are never in a row of trials.csv."""

    RUNNING = "running"
    OUT_OF_MEMORY = "out of memory"
    """It may run again, with a larger share of a GPU."""
    PAUSED = "paused"
    """It waits on a rung of early stopping, without a worker, and may go on."""
    COMPLETED = "completed"
    """It trained all its epochs."""
    STOPPED = "stopped"
    """It was ended early, by ASHA or the time budget."""
    DIVERGED = "diverged"
    """A loss was not finite."""
    FAILED = "failed"
    """An error that is not the configuration's."""


FINISHED_STATES = (TrialState.COMPLETED, TrialState.STOPPED, TrialState.DIVERGED, TrialState.FAILED)


def make_trial_id(model: str, number: int) -> str:
    """ "cnn-0007". Files are named after trials: of a user's FOLDER/FILE.py:NAME the folder is left out."""
    return f"{model.rpartition('/')[2]}-{number:04d}"


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """A finished trial. Accuracies are fractions in [0, 1], losses mean nats per image, times seconds.

    val_* and train_* are those of best_epoch, the one of the best metric on the validation images; None where no
    epoch was finite. metric: by which epochs and trials are compared; val_score, of which more is better, stands for
    it, and is None where the metric is the accuracy. wall_time_s is setup, training, evaluation and the rest of the
    trial; queue_s, the waiting before it started, is not part of it. images_per_s counts training time only. before:
    what of these times an earlier session spent, where the trial was interrupted. Of a lane that was trained with
    others, wall_time_s is the array's while it was in it; train_s, eval_s and share_s, of the wall time, are its share.
    """

    trial_id: str
    model: str
    state: TrialState
    config: dict[str, Any]
    seed: int
    parameters: int
    dataset: str
    precision: str
    metric: str = ACCURACY
    val_accuracy: float | None = None
    val_score: float | None = None
    val_loss: float | None = None
    train_accuracy: float | None = None
    train_loss: float | None = None
    epochs: int = 0
    best_epoch: int | None = None
    wall_time_s: float = 0.0
    queue_s: float = 0.0
    setup_s: float = 0.0
    train_s: float = 0.0
    eval_s: float = 0.0
    images_per_s: float | None = None
    device: str = ""
    node: str = ""
    workers: int = 1
    group_size: int = 1
    retries: int = 0
    error: str = ""
    curve: list[dict[str, Any]] = field(default_factory=list)
    before: dict[str, float] = field(default_factory=dict)
    share_s: float = 0.0

    @property
    def number(self) -> int:
        """The trial's number in its study, which is the last part of its id; -1 where that has none."""
        last = self.trial_id.rpartition("-")[2]
        return int(last) if last.isdecimal() else -1

    @property
    def usable(self) -> bool:
        """Whether the trial has a score to be chosen by."""
        return self.state in (TrialState.COMPLETED, TrialState.STOPPED) and self.score is not None

    @property
    def score(self) -> float | None:
        """What trials are compared by: more is better."""
        return self.val_accuracy if self.metric == ACCURACY else self.val_score

    @property
    def value(self) -> float | None:
        """The metric on the validation images."""
        return value_of(self.metric, self.score)

    @property
    def scores(self) -> dict[int, float | None]:
        """The score by epoch; None where the loss was not finite."""
        return {epoch["epoch"]: score_of(epoch) for epoch in self.curve}

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrialRecord:
        """The inverse of `to_dict`; keys of another version of Podium are left out.

        Raises ValueError, KeyError or TypeError where something is missing or of another kind.
        """
        known = {item.name for item in fields(cls)}
        kept = {key: value for key, value in values.items() if key in known}
        for key, kind in _KINDS.items():
            if key in kept and (not isinstance(kept[key], kind) or isinstance(kept[key], bool)):
                raise ValueError(f"{key} is {kept[key]!r}")
        if not all(isinstance(epoch, dict) and isinstance(epoch.get("epoch"), int) for epoch in kept.get("curve", ())):
            raise ValueError("its curve is damaged")
        state = TrialState(values["state"])
        if state not in FINISHED_STATES:
            raise ValueError(f"state is {state.value!r}")
        return cls(**{**kept, "state": state})


_TEXTS = ("trial_id", "model", "dataset", "precision", "metric", "device", "node", "error")
_COUNTS = ("seed", "parameters", "epochs", "workers", "group_size", "retries")
_TIMES = ("wall_time_s", "queue_s", "setup_s", "train_s", "eval_s", "share_s")
_MEASURED = ("val_accuracy", "val_score", "val_loss", "train_accuracy", "train_loss", "images_per_s")
# What each field must be; a file is not taken at its word.
_KINDS: dict[str, Any] = {
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys(_COUNTS, int),
    **dict.fromkeys(_TIMES, int | float),
    **dict.fromkeys(_MEASURED, int | float | None),
    "best_epoch": int | None,
    "config": dict,
    "before": dict,
    "curve": list,
}

_FIRST = (
    "rank",
    "model",
    "val_accuracy",
    "parameters",
    "wall_time_s",
    "state",
    "epochs",
    "best_epoch",
    "val_loss",
    "train_accuracy",
    "train_loss",
    "pareto",
)
_MEASURED_PREFIXES = ("val_", "test_")
USUAL_CONFIG = ("lr", "dropout", "batch_size", "activation")
_LAST = (
    "queue_s",
    "setup_s",
    "train_s",
    "eval_s",
    "images_per_s",
    "seed",
    "device",
    "node",
    "precision",
    "workers",
    "group_size",
    "retries",
    "dataset",
    "trial_id",
    "error",
)
_OF_LEADERBOARD = ("tied_with_best", "optimism", "test_accuracies", "final_seeds", "trials")
_TAKEN = (*_FIRST, *_LAST, *_OF_LEADERBOARD)


def columns(config_keys: set[str], metrics: set[str] = frozenset()) -> list[str]:  # type: ignore[assignment]
    """The columns of trials.csv, in order: hyperparameters stand under their own names, the usual four first.

    metrics: those of the trials. One that is not the accuracy has a column before it, val_METRIC.
    """
    rank, model, *measured = _FIRST
    return [rank, model, *metric_columns(metrics), *measured, *config_columns(config_keys), *_LAST]


def config_columns(keys: set[str]) -> list[str]:
    """The columns of these hyperparameters, after those of the usual four."""
    return [*USUAL_CONFIG, *(column_of(key) for key in sorted(keys - set(USUAL_CONFIG)))]


def column_of(key: str) -> str:
    """The column of a hyperparameter: its name, or config_NAME where another column is called so."""
    return f"config_{key}" if key in _TAKEN or key.startswith(_MEASURED_PREFIXES) else key


def is_hyperparameter(column: str) -> bool:
    """Whether a column of trials.csv is a hyperparameter."""
    return column not in _TAKEN and not column.startswith(_MEASURED_PREFIXES)


def metric_columns(metrics: set[str]) -> list[str]:
    """The columns of the metrics that are not the accuracy."""
    return [f"val_{label(metric)}" for metric in sorted(metrics - {ACCURACY})]


def to_row(record: TrialRecord, rank: int, pareto: bool) -> dict[str, Any]:
    """One row of trials.csv, by column."""
    config = {column_of(key): value for key, value in record.config.items()}
    own = dict.fromkeys(metric_columns({record.metric}), record.value)
    return {**asdict(record), **own, **config, "rank": rank, "pareto": pareto, "state": record.state.value}
