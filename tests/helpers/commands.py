"""Commands as a user runs them, in this process."""

from __future__ import annotations

import pytest

from hpo.__main__ import main


def printed(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What a command prints that succeeds."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The line that a command prints when it refuses its arguments."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("hpo: ") and err.count("\n") == 1
    return err
