"""`hpo compare`: several runs in one ranking."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.__main__ import main
from hpo.store.stored_run import check_comparable
from tests.helpers.pages import a_run, trial


def test_runs_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_run(tmp_path / "a", [trial(0, val_accuracy=0.5), trial(1, val_accuracy=0.9)])
    a_run(tmp_path / "b", [trial(0, val_accuracy=0.7)])
    words = ["compare", str(tmp_path / "a"), str(tmp_path / "b")]
    assert main([*words, "--out", str(tmp_path / "all.csv")]) == 0
    out = capsys.readouterr().out
    assert out.index("a/cnn-0001") < out.index("b/cnn-0000") < out.index("a/cnn-0000")
    lines = (tmp_path / "all.csv").read_text().splitlines()
    assert len(lines) == 4 and "a/cnn-0001" in lines[1]
    assert main([*words, "--out", str(tmp_path / "all.html")]) == 0
    assert "cnn-0001 of a is the best of all" in (tmp_path / "all.html").read_text()
    assert main([*words, "--out", str(tmp_path / "all.txt")]) == 2
    assert "must end in .csv or .html" in capsys.readouterr().err
    assert main([*words, "--rank-by", "time"]) == 0
    out = capsys.readouterr().out
    assert out.index("a/cnn-0000") < out.index("a/cnn-0001")


def test_runs_of_other_data_are_not_mixed_without_being_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, same = a_run(tmp_path / "a", [trial(0)]), a_run(tmp_path / "same", [trial(1)])
    check_comparable([one, same])
    data = one.study["data"]
    a_run(tmp_path / "split", [trial(2)], data={**data, "hashes": {**data["hashes"], "test": "other"}})
    a_run(tmp_path / "mnist", [trial(3)], data={**data, "name": "mnist"})
    for other, message in {
        "split": "its test split differs from that of",
        "mnist": "used the data set mnist, ",
    }.items():
        words = ["compare", str(tmp_path / "a"), str(tmp_path / other)]
        assert main(words) == 2
        err = capsys.readouterr().err
        assert message in err and "add --mixed" in err and err.count("\n") == 1
        assert main([*words, "--mixed"]) == 0
        capsys.readouterr()
    assert main(["compare", str(tmp_path / "a")]) == 2 and "give two or more" in capsys.readouterr().err


def test_what_a_shell_adds_to_the_runs_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        a_run(tmp_path / name, [trial(0)])
    (tmp_path / "trained").mkdir()
    (tmp_path / "table.csv").touch()
    words = [str(path) for path in sorted(tmp_path.iterdir())]
    assert main(["compare", *words]) == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note:")]
    assert notes == [f"note: {tmp_path / name} is not a run folder; left out" for name in ("table.csv", "trained")]
    assert main(["compare", *words, str(tmp_path / "c")]) == 2
