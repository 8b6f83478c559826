"""`hpo list`, `hpo show` and `hpo logs`: what there is, and what came of it."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

import pytest

from hpo.__main__ import main
from hpo.store.listing import entries
from tests.helpers.pages import a_run, trial


@pytest.fixture
def results(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """results/ with two runs, the newer of which is damaged, a third one that was killed, and a training."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results"
    folder.mkdir()
    began = [{"started": "2026-01-02T03:04:05+00:00"}]
    a_run(folder / "whole", [trial(0, val_accuracy=0.5), trial(1, val_accuracy=0.9)], sessions=began)
    a_run(folder / "killed", [trial(0)], state="running")
    a_run(folder / "damaged", [trial(0)])
    (folder / "damaged" / "study.json").write_text("{")
    shutil.copytree(trained, folder / "net")
    return folder


def test_runs_and_trainings_are_listed(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert " ".join(head.split()) == "name state trials best val test started size data set models"
    rows = {line.split()[0]: line for line in lines}
    assert set(rows) == {"whole", "killed", "damaged", "net"}
    assert " complete " in rows["whole"] and " 2/9 " in rows["whole"] and " 0.9000 " in rows["whole"]
    assert " interrupted " in rows["killed"] and " damaged " in rows["damaged"]
    assert " training " in rows["net"] and "digits" in rows["net"] and "lenet5_bn" in rows["net"]
    assert " 2026-01-02 " in rows["whole"]
    assert main(["list", "--results-dir", "nowhere"]) == 0
    assert capsys.readouterr().out == "no runs in nowhere; start one with: hpo run --model cnn --trials 20\n"


def test_a_word_too_many_is_unexpected(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "cnn"]) == 2 and capsys.readouterr().err == "hpo: unexpected: cnn\n"


def test_a_run_with_a_driver_is_running(results: Path) -> None:
    with (results / "killed" / ".lock").open("w") as lock:
        states = {entry.path.name: entry.state for entry in entries(results)}
        assert states["killed"] == "interrupted"
        fcntl.flock(lock, fcntl.LOCK_EX)
        states = {entry.path.name: entry.state for entry in entries(results)}
        assert states["killed"] == "running"


def test_sizes_are_those_of_all_files(results: Path) -> None:
    (results / "whole" / "logs").mkdir()
    before = {entry.path.name: entry.size for entry in entries(results)}
    (results / "whole" / "logs" / "x").write_bytes(b"x" * 5000)
    after = {entry.path.name: entry.size for entry in entries(results)}
    assert after.pop("whole") == before.pop("whole") + 5000 and after == before


def test_a_run_is_shown_again(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "whole"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("whole: complete, 2 finished trials of cnn on digits\nTrials, best first\n")
    assert "cnn-0001" in out and "results: results/whole/trials.csv" in out
    a_run(results / "new", [])
    assert main(["show", "new"]) == 0
    assert capsys.readouterr().out == "new: complete, 0 finished trials of cnn on digits\n"


def test_a_log_is_printed(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = results / "whole" / "logs"
    (logs / "worker").mkdir(parents=True)
    (logs / "hpo.log").write_text("first\nsecond\n")
    (logs / "worker" / "1.err").touch()
    assert main(["logs", "whole"]) == 0
    assert capsys.readouterr() == ("first\nsecond\n", "see also: results/whole/logs/worker/1.err\n")
    (logs / "hpo.log").unlink()
    assert main(["logs", "whole"]) == 2
    assert capsys.readouterr().err == "hpo: results/whole/logs/hpo.log: cannot be read (No such file or directory)\n"
