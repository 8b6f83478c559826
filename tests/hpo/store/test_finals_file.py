"""finals.jsonl holds what each network got right."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpo.store.finals_file import packed, read_finalists
from hpo.store.journal import Journal
from tests.helpers.records import record


def test_what_was_right_survives_the_journal(tmp_path: Path) -> None:
    right = np.random.default_rng(0).random((3, 359)) < 0.9
    journal = Journal(tmp_path / "finals.jsonl")
    row = {"what": "tested", "trial_id": "cnn-0001", "asked": [7, 8, 9], "seeds": [7, 8, 9], "images": 359}
    journal.append({**row, "right": [packed(one) for one in right]})
    journal.close()
    one = record(1, val_accuracy=0.9)
    (found,) = read_finalists(tmp_path / "finals.jsonl", [one, record(2)], [7, 8], 1.2)
    assert found.record == one and found.seeds == (7, 8, 9) and (found.right == right).all()
    assert found.growth == 1.2
    assert read_finalists(tmp_path / "finals.jsonl", [one], [7, 8, 9, 10]) == []  # more seeds are asked for now
