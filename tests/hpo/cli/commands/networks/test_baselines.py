"""`hpo baselines`: runs that are kept, repeated, interrupted and refused."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hpo.__main__ import main
from hpo.networks.reproduction.recipes import RECIPES
from hpo.networks.reproduction.tables import markdown, table
from hpo.store.journal import Journal, read_journal
from tests.helpers.photos import folder_of_photos

ROOT = Path(__file__).parents[5]


def run(tmp_path: Path, line: str) -> list[dict[str, Any]]:
    assert main(["baselines", *line.split(), "--dataset", "digits", "--out", str(tmp_path)]) == 0
    return read_journal(tmp_path / "baselines-digits.jsonl")


def test_every_run_is_kept_and_none_is_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = run(tmp_path, "--system E --model mlp --seeds 2 --max-epochs 1")
    assert [(row["system"], row["model"], row["seed"], row["epochs"]) for row in rows] == [
        ("E", "mlp", 0, 1),
        ("E", "mlp", 1, 1),
    ]
    assert rows[0]["parameters"] == 109_386 and rows[0]["test_accuracy"] != rows[1]["test_accuracy"]
    assert run(tmp_path, "--system E --model mlp --seeds 2 --max-epochs 1") == rows
    assert "2 runs, 2 of them finished before" in capsys.readouterr().out
    again = run(tmp_path, "--system E --model mlp --seeds 3 --max-epochs 1")
    assert again[:2] == rows and len(again) == 3
    more = run(tmp_path, "--system E --model mlp --seeds 1 --max-epochs 2")
    assert more[:3] == again and more[3]["epochs"] == 2
    repeated = run(tmp_path, "--system E --model mlp --seeds 1 --max-epochs 2 --again")
    assert repeated[4]["test_accuracy"] == more[3]["test_accuracy"]
    frame = pd.read_csv(tmp_path / "baselines-digits.csv")
    assert len(frame) == 1 and frame["epochs"][0] == 2 and frame["seeds"][0] == 1
    assert (
        frame["note"][0].startswith("on digits, the claim is of MNIST; the claimed loss ")
        and frame["test_accuracy_claimed"][0] == 0.9742
    )
    assert (tmp_path / "baselines-digits.md").read_text() == markdown(table(more))


def test_the_rest_is_estimated_and_a_run_per_cpu_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hpo.spec.commands.baselines.usable_cpus", lambda: 1)
    run(tmp_path, "--system C --model mlp_small --seeds 2 --max-epochs 1 --jobs auto")
    first, second = (line for line in capsys.readouterr().out.splitlines() if line.startswith("["))
    assert re.search(r"^\[1/2\] C mlp_small seed 0: test accuracy .*, about \d+s left$", first)
    assert second.startswith("[2/2] C mlp_small seed 1") and "left" not in second


def test_vgg16_is_trained_on_a_cpu_only_where_that_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained: list[int] = []
    monkeypatch.setattr("hpo.networks.reproduction.baselines._train_all", lambda todo, _: trained.append(len(todo)))
    monkeypatch.setattr("hpo.networks.reproduction.baselines._write", lambda _: table([]))
    line = ["baselines", "--seeds", "1", "--out", str(tmp_path)]
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    for answer, expected in (("", []), ("n", []), ("yes", [len(RECIPES)])):
        monkeypatch.setattr("builtins.input", lambda _, answer=answer: answer)
        assert main(line) == 0 and trained == expected
    assert f"{len(RECIPES)} runs, with 50 epochs of vgg16, which is slow on a CPU" in capsys.readouterr().out

    def closed(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", closed)
    assert main(line) == 0 and main([*line, "--system", "A"]) == 0 and len(trained) == 1
    monkeypatch.setattr("builtins.input", lambda _: pytest.fail("asked"))
    assert main([*line, "--yes"]) == 0 and main([*line, "--system", "C"]) == 0 and len(trained) == 3
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert main(line) == 0 and len(trained) == 4


def test_the_files_go_beside_the_published_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = "baselines --system C --model mlp_small --seeds 1 --max-epochs 1 --dataset digits"
    assert main(line.split()) == 0
    assert (tmp_path / "results" / "baselines" / "baselines-digits.md").exists()


def test_recipes_are_trained_on_photos_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = folder_of_photos(tmp_path / "photos", count=100, sizes=(24, 40))
    line = f"baselines --system E --model cnn --seeds 1 --max-epochs 1 --dataset {photos} --out {tmp_path}"
    assert main(line.split()) == 0 and f"on {photos}, the claim is of MNIST" in capsys.readouterr().out
    (row,) = read_journal(tmp_path / "baselines-photos.jsonl")
    assert row["dataset"] == str(photos) and 0 <= row["test_accuracy"] <= 1


@pytest.mark.slow
def test_runs_in_processes_of_their_own_give_the_same_numbers(tmp_path: Path) -> None:
    alone = run(tmp_path / "a", "--system C --model mlp_small --seeds 2 --max-epochs 2")
    together = run(tmp_path / "b", "--system C --model mlp_small --seeds 2 --max-epochs 2 --jobs 2")
    together.sort(key=lambda row: row["seed"])
    assert [row["test_accuracy"] for row in alone] == [row["test_accuracy"] for row in together]


@pytest.mark.slow
@pytest.mark.usefixtures("listens_to_ctrl_c")
def test_ctrl_c_ends_the_processes_and_keeps_what_is_done(tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from hpo.__main__ import main; sys.exit(main(sys.argv[1:]))"
    line = f"baselines --system C --model lenet5 --seeds 40 --jobs 2 --dataset digits --out {tmp_path}"
    command = [sys.executable, "-c", f"if __name__ == '__main__':\n    {code}", *line.split()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    journal, until = tmp_path / "baselines-digits.jsonl", time.monotonic() + 90
    while not read_journal(journal) and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert 1 <= len(read_journal(journal)) < 40


def test_an_error_between_two_rows_ends_the_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    def rows(todo: Any, at_once: int) -> Any:
        try:
            yield {"system": "C"}
        finally:
            closed.append(True)

    def full(*_: Any) -> None:
        raise OSError("no space")

    monkeypatch.setattr("hpo.networks.reproduction.baselines._rows", rows)
    monkeypatch.setattr("hpo.networks.reproduction.baselines._write", full)
    assert main(["baselines", "--dataset", "digits", "--out", str(tmp_path)]) == 1
    assert closed and len(read_journal(tmp_path / "baselines-digits.jsonl")) == 1


def test_two_at_once_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = Journal(tmp_path / "baselines-digits.jsonl")
    journal.lock()
    assert main(["baselines", "--dataset", "digits", "--out", str(tmp_path)]) == 2
    assert "another hpo baselines is running there" in capsys.readouterr().err
    journal.close()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--system F", "system F: choose from A"),
        ("--system E --model vgg16", "--model vgg16: no recipe of that name in system E; choose from mlp, cnn"),
        ("--dataset auto", "--dataset auto: name the data set"),
        ("--seeds 0", "--seeds 0: must be at least 1"),
        ("--max-epochs 0", "--max-epochs 0: must be at least 1"),
        ("--jobs 0", "--jobs 0: must be at least 1"),
        ("--jobs all", "--jobs all: unknown; choose from auto, or give a number of runs"),
        ("--out /proc/none", "--out /proc/none: cannot be written"),
    ],
)
def test_wrong_input(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baselines", *line.split()]) == 2
    err = capsys.readouterr().err
    assert err.startswith("hpo: ") and message in err and err.count("\n") == 1
