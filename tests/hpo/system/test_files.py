"""Files that a command writes: whole or not at all, and where they were asked for."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hpo.system.errors import UserError
from hpo.system.files import check_output, write_atomically, write_json


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    write_atomically(file, "old")
    reader = file.open()
    write_atomically(file, b"new")
    assert reader.read() == "old" and file.read_text() == "new"
    reader.close()
    assert os.listdir(tmp_path) == ["a.csv"] and file.stat().st_mode & 0o777 == 0o644


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(OSError, match="Is a directory"):
        write_atomically(tmp_path / "a", "x")
    assert os.listdir(tmp_path) == ["a"]
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "none" / "a", "x")


def test_json_is_for_people(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": [1]})
    assert (tmp_path / "a.json").read_text() == '{\n  "b": [\n    1\n  ]\n}\n'
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"b": object()})
    assert json.loads((tmp_path / "a.json").read_text()) == {"b": [1]}


def test_a_place_for_output_is_checked_before_any_work(tmp_path: Path) -> None:
    check_output("--csv", tmp_path / "new.csv", ".csv")
    (tmp_path / "folder.csv").mkdir()
    for name, words in {
        "best.pt": r"best\.pt: must end in \.csv",
        "folder.csv": r"folder\.csv: is there and no plain file",
        "none/new.csv": r"none/new\.csv: .*none is no folder",
    }.items():
        with pytest.raises(UserError, match=f"^--csv .*{words}$"):
            check_output("--csv", tmp_path / name, ".csv")
