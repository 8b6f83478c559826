"""What a run does is shown while nothing else is: on a terminal alone, and one display at a time."""

from __future__ import annotations

import time

import pytest

from hpo.system.terminal import is_live
from hpo.views import phases
from hpo.views.phases import hide, phase


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output that rich takes for a terminal."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.usefixtures("live")
def test_a_phase_is_shown_and_taken_away(capsys: pytest.CaptureFixture[str]) -> None:
    assert is_live()
    with phase("counting sheep"):
        print("a line")
    out = capsys.readouterr().out
    assert "counting sheep" in out and "0:00:0" in out and "a line" in out
    assert out.endswith("\x1b[2K")  # the line is cleared


@pytest.mark.usefixtures("live")
def test_another_display_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    with phase("counting sheep"):
        hide()
        capsys.readouterr()
        print("alone")
        assert capsys.readouterr().out == "alone\n"
    assert capsys.readouterr().out == ""


def test_an_error_takes_it_away(live: None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no sheep"), phase("counting sheep"):
        raise ValueError("no sheep")
    assert capsys.readouterr().out.endswith("\x1b[2K")
    with phase("again"):
        pass


@pytest.mark.parametrize("variables", [{}, {"TERM": "dumb", "TTY_COMPATIBLE": "1"}])
@pytest.mark.parametrize(
    ("slow", "quiet", "line"), [(False, False, ""), (True, False, "sheep ...\n"), (True, True, "")]
)
def test_a_pipe_and_a_dumb_terminal_get_a_line_of_what_is_slow(
    variables: dict[str, str],
    slow: bool,
    quiet: bool,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(phases, "SLOW_S", 0.05 if slow else 60.0)
    with phase("sheep", quiet=quiet):
        time.sleep(0.5 * slow)
    assert capsys.readouterr().out == line


@pytest.mark.usefixtures("live")
def test_quiet_shows_nothing_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with phase("sheep", quiet=True):
        pass
    hide()
    assert capsys.readouterr().out == ""
