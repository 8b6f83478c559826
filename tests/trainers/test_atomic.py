"""A file is written as a whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

import pytest

from trainers import atomic


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "a"
    atomic.write(file, lambda new: new.write(b"old"))

    def fails(new: IO[bytes]) -> None:
        new.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic.write(file, fails)
    assert file.read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]


def test_the_disks_error_comes_first(tmp_path: Path) -> None:
    def fails(_: IO[bytes]) -> None:
        try:
            raise OSError(28, "No space left on device")
        finally:
            raise RuntimeError("unexpected pos")  # as torch does

    with pytest.raises(OSError, match="No space left"):
        atomic.write(tmp_path / "a", fails)
    assert os.listdir(tmp_path) == []
