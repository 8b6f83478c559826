"""The finalists, and which of them is first. Pure, but for the journal that they are read from."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hpo.store.journal import scan
from hpo.trials.ranking import Ranked
from hpo.trials.records import TrialRecord
from hpo.trials.significance import Measured, measure, tied_with

FIRST_SEED = 1_000_000  # above the study's: no trial of it had one of these, unless it has a million trials


@dataclass(frozen=True)
class Finalist:
    """record: of its trial. seeds: of its networks. right: bool (seeds, test images), what they got right.
    tied_with_best: whether it cannot be told from the first one (hpo/trials/significance.py)."""

    record: TrialRecord
    seeds: tuple[int, ...]
    right: np.ndarray
    tied_with_best: bool = True

    @property
    def measured(self) -> Measured:
        return measure(self.right)

    @property
    def optimism(self) -> float:
        """By how much the validation accuracy, which the trial was chosen by, is higher than the test accuracy."""
        return (self.record.val_accuracy or 0.0) - self.measured.mean


def choose(ranked: Sequence[Ranked], each: int) -> list[TrialRecord]:
    """The best `each` usable trials of every architecture, best first."""
    taken: dict[str, int] = {}
    chosen = []
    for item in ranked:
        model = item.record.model
        if item.record.usable and taken.get(model, 0) < each:
            taken[model] = taken.get(model, 0) + 1
            chosen.append(item.record)
    return chosen


def final_seeds(study_seed: int, count: int) -> tuple[int, ...]:
    """Of a finalist's networks."""
    first = FIRST_SEED + study_seed
    return tuple(range(first, first + count))


def order(finalists: Sequence[Finalist]) -> list[Finalist]:
    """By test accuracy, then parameters, then the trial's wall time, with who is tied with the first."""
    best_first = sorted(
        finalists, key=lambda f: (-f.measured.mean, f.record.parameters, f.record.wall_time_s, f.record.trial_id)
    )
    ties = tied_with(0, [finalist.right for finalist in best_first]) if best_first else []
    return [replace(finalist, tied_with_best=tied) for finalist, tied in zip(best_first, ties, strict=True)]


def read_finalists(journal: Path, chosen: Sequence[TrialRecord], seeds: Sequence[int]) -> list[Finalist]:
    """The finalists among the chosen whose test is in the journal, with as many seeds as are asked for."""
    entries = scan(journal, check_row).entries
    rows = {row["trial_id"]: row for row in entries if row["what"] == "tested"}
    found = ((record, rows.get(record.trial_id)) for record in chosen)
    return [
        Finalist(record, tuple(row["seeds"]), _unpacked(row["right"], row["images"]))
        for record, row in found
        if row is not None and set(row["asked"]) >= set(seeds)
    ]


def check_row(row: dict[str, Any]) -> None:
    """ValueError, KeyError or TypeError for an entry of finals.jsonl that is not what it must be."""
    if not isinstance(row["trial_id"], str) or row["what"] not in ("trained", "tested"):
        raise ValueError("no entry of finals")
    if row["what"] == "tested":
        right = _unpacked(row["right"], row["images"])
        if right.shape != (len(row["seeds"]), row["images"]) or not set(row["seeds"]) <= set(row["asked"]):
            raise ValueError("its parts do not fit together")


def packed(right: np.ndarray) -> str:
    return b64encode(np.packbits(right).tobytes()).decode()


def _unpacked(rows: list[str], images: int) -> np.ndarray:
    bits = [np.unpackbits(np.frombuffer(b64decode(row), dtype=np.uint8))[:images] for row in rows]
    return np.stack(bits).astype(bool)
