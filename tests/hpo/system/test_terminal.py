"""Tables on what is no terminal are as wide as they need to be."""

from __future__ import annotations

import pytest

from hpo.system.terminal import console


def test_a_pipe_cuts_no_line_of_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    console().print("x" * 150)
    assert capsys.readouterr().out == "x" * 150 + "\n"
