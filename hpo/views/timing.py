"""Where a session's time went: what share of the machine trained, and what to change where that is little. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from hpo.trials.records import TrialRecord

GOOD_SHARE = 0.8  # of training; under it a setting is named
_LARGER = "a larger --train-size"
_ADVICE = {
    "evaluation": f"{_LARGER}: every epoch is followed by the whole validation split",
    "setup": "more --epochs: trials are short beside their setup",
    "between": f"{_LARGER}: epochs are short beside what lies between two of them",
    "starting": "more --trials or --epochs: Ray and its workers take as long to start for a short run as a long one",
    "idle": "more --trials or a smaller --concurrency: at the end places for trials stood empty",
}


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds of all places for trials together: `places` of them over `elapsed_s` seconds.

    training, evaluation, setup: of trials. between: the rest of their wall time (checkpoints, waiting for the driver).
    starting: Ray, its workers, and waiting for one. idle: places that had no trial.
    """

    elapsed_s: float
    places: int
    training: float
    evaluation: float
    setup: float
    between: float
    starting: float
    idle: float

    @property
    def share(self) -> float:
        """Of training, from 0 to 1."""
        return self.training / (self.elapsed_s * self.places)

    def to_dict(self) -> dict[str, float]:
        return {name: round(value, 3) for name, value in asdict(self).items()}

    def words(self) -> str:
        """ "84 % training, 9 % evaluation, ...": each of a per cent and more."""
        whole = self.elapsed_s * self.places
        parts = {name: getattr(self, name) / whole for name in ("training", *_ADVICE)}
        return ", ".join(f"{share:.0%} {name}" for name, share in parts.items() if share >= 0.01 or name == "training")

    def advice(self, all_images: bool) -> str:
        """Which setting to change for a larger share, by what took most beside training; "" where training took enough,
        or where that could only be helped by more images and all are taken."""
        if self.share >= GOOD_SHARE:
            return ""
        words = _ADVICE[max(_ADVICE, key=lambda name: getattr(self, name))]
        return "" if all_images and words.startswith(_LARGER) else words


def measure(records: Sequence[TrialRecord], places: int, elapsed_s: float, started_s: float) -> Times | None:
    """The times of a session's finished trials; None where there are none.

    places: trials, or arrays of fused ones, at once. elapsed_s: of the whole session. started_s: until its first trial
    was asked for.
    """
    if not records or elapsed_s <= 0:
        return None
    training, evaluation, setup, wall, queue = (
        sum(_share(record, name) for record in records)
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


def _share(record: TrialRecord, name: str) -> float:
    """A trial's part of its place's time in this session: that of a lane is shared with the others of its array."""
    seconds: float = getattr(record, name) - record.before.get(name, 0.0)
    if record.lanes == 1 or name in ("train_s", "eval_s"):
        return seconds
    return record.share_s if name == "wall_time_s" else seconds / record.lanes
