from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from trainers import checkpoint


def test_round_trip_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "c.pt"
    checkpoint.save(path, {"epoch": 3, "w": torch.arange(4.0), "words": ["x"]})
    checkpoint.save(path, {"epoch": 4, "w": torch.arange(4.0), "words": ["x"]})
    state = checkpoint.load(path)
    assert state["epoch"] == 4 and torch.equal(state["w"], torch.arange(4.0))
    assert os.listdir(path.parent) == ["c.pt"]


def test_a_failed_save_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    checkpoint.save(path, {"epoch": 3})
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        checkpoint.save(path, {"epoch": lambda: 1})
    assert checkpoint.load(path) == {"epoch": 3} and os.listdir(tmp_path) == ["c.pt"]


def test_damage_is_found(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    checkpoint.save(path, {"w": torch.zeros(1000)})
    whole = path.read_bytes()
    at = whole.index(b"\0" * 500) + 100
    for damaged in (whole[: len(whole) // 2], whole[:at] + b"\x01" + whole[at + 1 :], b"", b"no zip"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"c\.pt: (not a readable checkpoint|damaged)"):
            checkpoint.load(path)


def test_no_code_in_a_checkpoint_runs(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"x": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match=r"evil\.pt: not a readable checkpoint"):
        checkpoint.load(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()
