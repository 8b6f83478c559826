"""Where the time of a session went, and which setting would give training a larger share of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from hpo.trials.records import TrialRecord
from hpo.views.formats import percent

GOOD_TRAINING_SHARE = 0.8  # below it, a hint says what to change
_NEEDS_IMAGES = ("evaluation", "between")  # only more training images help against these
_HINTS = {
    "evaluation": "Hint: evaluation took much of the time; a larger --train-size gives training a larger share.",
    "setup": "Hint: the setup of trials took much of the time; use more --epochs.",
    "between": "Hint: the work between epochs took much of the time; use a larger --train-size.",
    "starting": "Hint: start-up took much of this short run. It is a fixed cost: use more --trials or --epochs.",
    "idle": "Hint: some trial slots were empty at the end; use more --trials or a smaller --concurrency.",
}


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds of a session, summed over its trial slots: `places` slots for `elapsed_s` seconds each."""

    elapsed_s: float
    """Duration of the session."""
    places: int
    """Trials, or groups of fused trials, that ran at once."""
    training: float
    evaluation: float
    setup: float
    """Before the first epoch of each trial."""
    between: float
    """The rest of the trials' wall time: checkpoints, and waiting for the driver."""
    starting: float
    """Start of Ray and its workers, and waiting for a worker."""
    idle: float
    """Slots without a trial."""

    @property
    def share(self) -> float:
        """The fraction of the time that was training."""
        return self.training / (self.elapsed_s * self.places)

    def to_dict(self) -> dict[str, float]:
        """Rounded to milliseconds, for study.json."""
        return {name: round(value, 3) for name, value in asdict(self).items()}

    def words(self) -> str:
        """ "84 % training, 9 % evaluation, ...": training, and every other part of at least one per cent."""
        whole = self.elapsed_s * self.places
        parts = {name: getattr(self, name) / whole for name in ("training", *_HINTS)}
        shown = {name: share for name, share in parts.items() if share >= 0.01 or name == "training"}
        return ", ".join(f"{percent(share)} {name}" for name, share in shown.items())

    def advice(self, all_images: bool) -> str:
        """A sentence that begins with "Hint: " and names the setting to change, by what took most beside training.

        "" when training took enough, or when only more images would help and `all_images` are used already.
        """
        if self.share >= GOOD_TRAINING_SHARE:
            return ""
        largest = max(_HINTS, key=lambda name: getattr(self, name))
        return "" if all_images and largest in _NEEDS_IMAGES else _HINTS[largest]


def measure(records: Sequence[TrialRecord], places: int, elapsed_s: float, started_s: float) -> Times | None:
    """Sums the times of a session's finished trials; None when there are none.

    `places` is the number of trials, or groups of fused trials, at once; `elapsed_s` the duration of the session;
    `started_s` the time until it asked for its first trial.
    """
    if not records or elapsed_s <= 0:
        return None
    training, evaluation, setup, wall, queue = (
        sum(_in_this_session(record, name) for record in records)
        for name in ("train_s", "eval_s", "setup_s", "wall_time_s", "queue_s")
    )
    starting = started_s * places + queue
    return Times(
        elapsed_s=elapsed_s,
        places=places,
        training=training,
        evaluation=evaluation,
        setup=setup,
        between=max(0.0, wall - training - evaluation - setup),
        starting=starting,
        idle=max(0.0, elapsed_s * places - starting - wall),
    )


def _in_this_session(record: TrialRecord, name: str) -> float:
    """A trial's share of its slot's time in this session. Trials that were fused share one slot."""
    seconds: float = getattr(record, name) - record.before.get(name, 0.0)
    if record.group_size == 1 or name in ("train_s", "eval_s"):
        return seconds
    return record.share_s if name == "wall_time_s" else seconds / record.group_size
