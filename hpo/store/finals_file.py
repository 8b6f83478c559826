"""finals.jsonl: the networks that the finals have trained, and their correct answers on the test split."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpo.store.journal import scan
from hpo.trials.finalists import Finalist
from hpo.trials.records import TrialRecord


def read_finalists(journal: Path, chosen: Sequence[TrialRecord], seeds: Sequence[int]) -> list[Finalist]:
    """Reads the finalists among the `chosen` trials: those whose test, with all these seeds, is in the journal."""
    entries = scan(journal, check_row).entries
    rows = {row["trial_id"]: row for row in entries if row["what"] == "tested"}
    found = ((record, rows.get(record.trial_id)) for record in chosen)
    return [
        Finalist(record, tuple(row["seeds"]), _unpacked(row["right"], row["images"]))
        for record, row in found
        if row is not None and set(row["asked"]) >= set(seeds)
    ]


def check_row(row: dict[str, Any]) -> None:
    """Raises ValueError, KeyError or TypeError for a damaged entry of finals.jsonl."""
    if not isinstance(row["trial_id"], str) or row["what"] not in ("trained", "tested"):
        raise ValueError("not an entry of finals.jsonl")
    if row["what"] == "tested":
        right = _unpacked(row["right"], row["images"])
        if right.shape != (len(row["seeds"]), row["images"]) or not set(row["seeds"]) <= set(row["asked"]):
            raise ValueError("its parts do not fit together")


def packed(right: np.ndarray) -> str:
    """Encodes an array of bool for JSON, eight values in a byte."""
    return b64encode(np.packbits(right).tobytes()).decode()


def _unpacked(rows: list[str], images: int) -> np.ndarray:
    """The inverse of `packed` for one row per seed: bool (seeds, images)."""
    bits = [np.unpackbits(np.frombuffer(b64decode(row), dtype=np.uint8))[:images] for row in rows]
    return np.stack(bits).astype(bool)
