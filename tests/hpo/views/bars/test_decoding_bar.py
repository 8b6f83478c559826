from __future__ import annotations

import sys

import pytest

from hpo.views.bars import decoding_bar
from hpo.views.bars.decoding_bar import DecodingBar


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding_bar, "PATIENCE_S", 0.0)
    monkeypatch.setattr(decoding_bar, "_STEP_S", 0.0)


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    with DecodingBar() as bar:
        for done in (1, 30, 60):
            bar.moved(done, 60)
    found = capsys.readouterr()
    assert found.out == ""
    return found.err


def test_it_shows_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert "decoding images" in (text := shown(capsys)) and "60/60" in text


def test_it_is_silent_elsewhere(capsys: pytest.CaptureFixture[str], impatient: None) -> None:
    assert shown(capsys) == ""


def test_what_is_fast_shows_no_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert shown(capsys) == ""
