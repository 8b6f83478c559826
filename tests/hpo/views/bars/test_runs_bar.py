"""What is shown while many networks are trained."""

from __future__ import annotations

import sys

import pytest

from hpo.views.bars.runs_bar import RunsBar


def test_each_run_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with RunsBar(2) as bar:
        bar.finished("first", 125.0)
        bar.finished("second", 0.0)
    assert capsys.readouterr().out == "[1/2] first, about 2m05s left\n[2/2] second\n"


def test_nothing_is_said_of_the_rest_where_it_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    with RunsBar(2) as bar:
        bar.finished("first", None)
    assert capsys.readouterr().out == "[1/2] first\n"


def test_a_terminal_has_a_bar_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with RunsBar(2) as bar:
        bar.finished("first \x1b[2J", 125.0)
    out = capsys.readouterr().out
    assert "[1/2] first \\x1b[2J, about 2m05s left" in out and "1/2" in out.split("left", 1)[1]
