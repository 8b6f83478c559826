"""Standard output in odd states; tests/hpo/runs/test_environments.py starts whole runs in them."""

from __future__ import annotations

import io
import sys

import pytest

from hpo.system.streams import prepare_streams, tell


class Full(io.StringIO):
    """A file on a full disk."""

    def write(self, _: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_line_that_nobody_takes_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tell("hello")
    assert capsys.readouterr().out == "hello\n"
    monkeypatch.setattr(sys, "stdout", Full())
    tell("hello")


def test_an_encoding_without_our_letters_shows_them_as_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(file, encoding="ascii"))
    prepare_streams()
    print("ü", flush=True)
    assert file.getvalue() == b"\\xfc\n"
