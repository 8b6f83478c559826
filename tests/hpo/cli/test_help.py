"""--help: the flags under headings, the most used ones first."""

from __future__ import annotations

import re

import pytest

from hpo.__main__ import main
from hpo.run import main as run


def headings(text: str) -> dict[str, list[str]]:
    """The first name of each flag, by heading."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if heading := re.match(r"╭─ (.+?) ─", line):
            flags = found.setdefault(heading[1], [])
        elif flag := re.match(r"│ (--[a-z-]+)", line):
            flags.append(flag[1])
    return found


def test_the_flags_of_a_run_are_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    found = headings(capsys.readouterr().out)
    assert list(found) == ["Options", "Search", "Data", "Training", "Resources", "Finals", "Output"]
    most_used = "--model --trials --epochs --set --range --time-budget --dataset --device --name --resume --dry-run"
    assert found["Options"] == [*most_used.split(), "--help"]
    assert "--sampler" in found["Search"] and "--concurrency" in found["Resources"] and "--quiet" in found["Output"]


def test_those_of_a_training_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    found = headings(capsys.readouterr().out)
    assert list(found) == ["Options", "Data", "Hyperparameters", "Training", "Output"]
    assert found["Options"][:3] == ["--model", "--recipe", "--from"] and found["Hyperparameters"][0] == "--lr"
