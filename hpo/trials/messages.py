"""What the driver and its workers say to one another about trials: frozen, and nothing else travels.

The searcher makes a `TrialRequest` of what Optuna draws. A worker answers with a `TrialReport` after every epoch. What
comes of both is a `TrialRecord` (hpo/trials/records.py). For the finals, which Tune has no part in, the driver sends a
`FinalRequest`, and a worker answers with one `FinalOutcome`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Protocol

from hpo.trials.records import TrialRecord, TrialState
from trainers.config import EpochResult

# The keys of the two dictionaries in which Tune carries messages.
REQUEST = "request"
"""Of a trial's configuration, its only one: a `GroupRequest`."""
REPORTS = "reports"
"""Of a trial's result: a `TrialReport` of each trial of the group."""
VALUE = "value"
"""Of a trial's result: the score of its newest epoch, which schedulers compare."""
EPOCHS = "epochs"
"""Of a trial's result: how many epochs it has trained, by which schedulers know its rung."""
DONE = "done"
"""Of a trial's result: whether it is the last one; Tune gives this key its name."""


@dataclass(frozen=True, kw_only=True)
class TrialRequest:
    """A configuration to train."""

    trial_id: str
    """Such as cnn-0007."""
    number: int
    """Its number in the study; added to the study's seed it is the trial's seed."""
    params: Mapping[str, Any]
    """Hyperparameters by name."""
    asked_at: float
    """When the searcher asked for it, as time.time() has it: another session asks for it at another time."""
    group_size: int = 1
    """How many trials its group begins with."""
    pauses_at: tuple[int, ...] = ()
    """The epochs after which it pauses, on the first of them that it comes to."""


@dataclass(frozen=True, kw_only=True)
class GroupRequest:
    """The trials that one worker trains together, ordinarily one."""

    trials: tuple[TrialRequest, ...]
    gpus: float = 0.0
    """GPUs of each of its workers."""
    known: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    """By rung: the scores that other trials had on it."""


@dataclass(frozen=True, kw_only=True)
class TrialReport:
    """What a trial has come to so far. Accuracies are fractions in [0, 1], losses mean nats per image, times seconds.

    The fields are those of `TrialRecord`, where they are described, and these beside.
    """

    trial_id: str
    state: TrialState
    curve: tuple[EpochResult, ...] = ()
    """The epochs that no report had before; all of them after a resume."""
    error: str = ""
    traceback: str = ""
    warning: str = ""
    parameters: int | None = None
    """None where the trial failed before it had a network."""
    epochs: int = 0
    best_epoch: int | None = None
    val_accuracy: float | None = None
    val_score: float | None = None
    val_loss: float | None = None
    train_accuracy: float | None = None
    train_loss: float | None = None
    train_s: float = 0.0
    eval_s: float = 0.0
    images_per_s: float | None = None
    wall_time_s: float = 0.0
    before: Mapping[str, float] = field(default_factory=dict)
    queue_s: float = 0.0
    setup_s: float = 0.0
    share_s: float = 0.0
    device: str = ""
    node: str = ""
    workers: int = 1
    group_size: int = 1
    retries: int = 0

    @property
    def values(self) -> list[tuple[int, float]]:
        """(epoch, score) of its new epochs, without those whose loss is not finite."""
        return [(result.epoch, result.score) for result in self.curve if math.isfinite(result.val_loss)]

    @property
    def score(self) -> float | None:
        """That of its best epoch, as `TrialRecord` has it."""
        return self.val_accuracy if self.val_score is None else self.val_score

    def rows(self) -> list[dict[str, Any]]:
        """Its new epochs as rows of curves.csv: JSON has no NaN, so what is not finite is None."""
        return [{key: _finite(value) for key, value in asdict(result).items()} for result in self.curve]

    def shared(self) -> dict[str, Any]:
        """The fields that a `TrialRecord` has too, but for the curve."""
        names = {item.name for item in fields(TrialRecord)} - {"curve", "parameters"}
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name in names}


@dataclass(frozen=True, kw_only=True)
class FinalRequest:
    """A network to train for the finals."""

    name: str
    """Such as cnn-0007-seed-1000000: of its checkpoints, and of what its worker trains."""
    params: Mapping[str, Any]
    """Hyperparameters by name."""
    seed: int
    epochs: int
    """To train: see `final_epochs` in hpo/trials/finalists.py."""


@dataclass(frozen=True, kw_only=True)
class FinalOutcome:
    """What became of a network of the finals."""

    weights: Mapping[str, Any] | None = None
    """None where it could not be trained."""
    error: str = ""
    epochs: int = 0
    train_s: float = 0.0
    diverged: bool = False
    """Whether its loss stopped being finite. It is tested all the same, because a configuration that breaks with some
    seeds is as good as it is with all of them."""
    warning: str = ""

    def row(self) -> dict[str, Any]:
        """Its entry in finals.jsonl."""
        if self.error:
            return {"error": self.error}
        names = ("epochs", "train_s", "diverged", "warning")
        return {name: getattr(self, name) for name in names}


class TrialListener(Protocol):
    """Whoever follows the trials of a search: displays, trackers, tables."""

    def started(self, request: TrialRequest) -> None:
        """The trial was handed to a worker."""

    def reported(self, request: TrialRequest, report: TrialReport) -> None:
        """An epoch of it is over."""

    def finished(self, record: TrialRecord) -> None:
        """It is over, and its row is on disk."""


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
