"""finals.jsonl: the networks that the finals have trained, and their correct answers on the test split."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpo.store.journal import scan
from hpo.trials.finalists import Finalist
from hpo.trials.records import TrialRecord
from hpo.trials.significance import Resampled


def read_finalists(
    journal: Path, chosen: Sequence[TrialRecord], seeds: Sequence[int], growth: float = 1.0
) -> list[Finalist]:
    """Reads the finalists among the `chosen` trials: those whose test, with all these seeds, is in the journal.
    growth: see `Finalist`."""
    entries = scan(journal, check_row).entries
    rows = {row["trial_id"]: row for row in entries if row["what"] == "tested"}
    found = ((record, rows.get(record.trial_id)) for record in chosen)
    return [
        Finalist(record, tuple(row["seeds"]), _unpacked(row["right"], row["images"]), _scores(row), growth)
        for record, row in found
        if row is not None and set(row["asked"]) >= set(seeds)
    ]


@dataclass(frozen=True)
class Answers:
    """What a network makes of the test images."""

    right: np.ndarray
    """bool (images,): which of them it classifies correctly."""
    score: float | None = None
    """The metric's; None where it is the accuracy."""
    resampled: np.ndarray | None = None
    """The score on each resample of the images, see `resample`."""


def tested_row(trial_id: str, asked: Sequence[int], seeds: Sequence[int], answers: Sequence[Answers]) -> dict[str, Any]:
    """The entry of a finalist's test. asked: the seeds that it was to have. seeds: of those that answered."""
    row: dict[str, Any] = {"what": "tested", "trial_id": trial_id, "asked": list(asked), "seeds": list(seeds)}
    row |= {"images": len(answers[0].right), "right": [packed(answer.right) for answer in answers]}
    if answers[0].score is not None:
        row["scores"] = [answer.score for answer in answers]
        row["resampled"] = [np.asarray(answer.resampled).tolist() for answer in answers]
    return row


def check_row(row: dict[str, Any]) -> None:
    """Raises ValueError, KeyError or TypeError for a damaged entry of finals.jsonl."""
    if not isinstance(row["trial_id"], str) or row["what"] not in ("trained", "tested"):
        raise ValueError("not an entry of finals.jsonl")
    if row["what"] == "tested":
        right = _unpacked(row["right"], row["images"])
        if right.shape != (len(row["seeds"]), row["images"]) or not set(row["seeds"]) <= set(row["asked"]):
            raise ValueError("its parts do not fit together")
        scores = _scores(row)
        if scores and (len(scores.values) != len(right) or scores.resampled.shape[:1] != scores.values.shape):
            raise ValueError("its scores do not fit together")


def _scores(row: dict[str, Any]) -> Resampled | None:
    if "scores" not in row:
        return None
    return Resampled(np.array(row["scores"], dtype=float), np.array(row["resampled"], dtype=float))


def packed(right: np.ndarray) -> str:
    """Encodes an array of bool for JSON, eight values in a byte."""
    return b64encode(np.packbits(right).tobytes()).decode()


def _unpacked(rows: list[str], images: int) -> np.ndarray:
    """The inverse of `packed` for one row per seed: bool (seeds, images)."""
    bits = [np.unpackbits(np.frombuffer(b64decode(row), dtype=np.uint8))[:images] for row in rows]
    return np.stack(bits).astype(bool)
