"""`hpo report`: the page, and mistakes in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.__main__ import main
from tests.helpers.pages import a_run, trial


def test_report_and_its_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_run(tmp_path / "a", [trial(0)])
    assert main(["report", str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/a/report.html\n" and (tmp_path / "a" / "report.html").stat().st_size
    for words, message in {
        f"{tmp_path}/none": "not a run folder (runs in results: ",
        f"{tmp_path}/a --out {tmp_path}/x.txt": "must end in .html",
        f"{tmp_path}/a --out {tmp_path}/none/x.html": "is no folder",
    }.items():
        assert main(["report", *words.split()]) == 2
        err = capsys.readouterr().err
        assert message in err and err.count("\n") == 1
    (tmp_path / "a" / "study.json").write_text("{}")
    assert main(["report", str(tmp_path / "a")]) == 2 and "cannot be read" in capsys.readouterr().err
