"""Where modules of the user's own are found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hpo.system.import_path import add_current_folder, add_folder


def test_the_current_folder_comes_last_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["/somewhere"])
    monkeypatch.chdir(tmp_path)
    add_current_folder()
    add_current_folder()
    assert sys.path == ["/somewhere", str(tmp_path)]


def test_a_folder_that_is_there_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["/first", "/second"])
    add_folder("/first")
    assert sys.path == ["/first", "/second"]
