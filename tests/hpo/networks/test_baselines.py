from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hpo.__main__ import main
from hpo.networks.baselines import COLUMNS, BaselineRun, markdown, missing, table, train_baseline
from hpo.networks.recipes import recipes
from hpo.store.journal import Journal, read_journal

ROOT = Path(__file__).parents[3]


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
        frame["note"][0].startswith("on digits, the claim is of MNIST; 2 of 5 epochs; ")
        and frame["test_accuracy_claimed"][0] == 0.9742
    )
    assert (tmp_path / "baselines-digits.md").read_text() == markdown(table(more))


@pytest.mark.slow
def test_runs_in_processes_of_their_own_give_the_same_numbers(tmp_path: Path) -> None:
    alone = run(tmp_path / "a", "--system C --model mlp_small --seeds 2 --max-epochs 2")
    together = run(tmp_path / "b", "--system C --model mlp_small --seeds 2 --max-epochs 2 --jobs 2")
    together.sort(key=lambda row: row["seed"])
    assert [row["test_accuracy"] for row in alone] == [row["test_accuracy"] for row in together]


def row(**changed: Any) -> dict[str, Any]:
    known = {"system": "C", "model": "lenet5", "seed": 0, "epochs": 20, "dataset": "mnist", "precision": "float32"}
    known |= {"device": "cpu", "parameters": 44_426, "minutes": 1.0, "train_accuracy": 0.99, "train_loss": 0.03}
    return {**known, "test_accuracy": 0.98, "test_loss": 0.05, "val_accuracy": 0.98, **changed}


def test_a_line_is_the_mean_over_the_seeds() -> None:
    frame = table([row(), row(seed=1, test_accuracy=0.99, minutes=3.0), row(seed=0, epochs=2, test_accuracy=0.1)])
    (line,) = frame.to_dict("records")
    assert list(frame) == list(COLUMNS) and line["test_accuracy"] == 0.985 and line["minutes"] == 2.0
    assert line["test_accuracy_std"] == pytest.approx(0.00707, abs=1e-5) and line["seeds"] == 2
    assert line["note"] == "" and line["test_accuracy_claimed"] == 0.9877
    text = markdown(frame)
    assert "| C | `lenet5` | 44,426 / 44,426 | 98.77 % / 98.50 % ± 0.71 |" in text


def test_a_run_that_diverged_is_told() -> None:
    failed = {"error": "diverged in epoch 3", "seed": 1}
    lost = {key: value for key, value in row(**failed).items() if key not in ("test_accuracy", "train_loss")}
    (line,) = table([row(), lost]).to_dict("records")
    assert line["note"] == "diverged with seed 1" and line["test_accuracy"] == 0.98 and line["seeds"] == 2
    assert "- / -" in markdown(table([lost]))


def test_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "j.jsonl").write_text(json.dumps(row(seed=0)) + "\n" + json.dumps(row(seed=1, epochs=5)) + "\n")
    (recipe,) = recipes("C", ("lenet5",))

    def baseline(seed: int, epochs: int, precision: str = "float32") -> BaselineRun:
        return BaselineRun(
            recipe=recipe, seed=seed, epochs=epochs, precision=precision, device="cpu", dataset="mnist", data_dir=ROOT
        )

    runs = [baseline(0, 20), baseline(0, 3), baseline(1, 20), baseline(1, 5), baseline(2, 1), baseline(0, 1, "bf16")]
    todo = missing(runs, tmp_path / "j.jsonl")
    assert [(j.seed, j.epochs, j.precision) for j in todo] == [(1, 20, "float32"), (2, 1, "float32"), (0, 1, "bf16")]


def test_other_data_and_precision_are_lines_of_their_own() -> None:
    frame = table([row(), row(precision="bf16", test_accuracy=0.5), row(dataset="digits", test_accuracy=0.2)])
    assert sorted(frame["test_accuracy"]) == [0.2, 0.5, 0.98]
    (line,) = frame[frame["dataset"] == "digits"].to_dict("records")
    assert line["note"] == "on digits, the claim is of MNIST"


def test_a_run_whose_loss_is_not_finite_is_an_error_however_late(monkeypatch: pytest.MonkeyPatch) -> None:
    (recipe,) = recipes("C", ("mlp_small",))
    wild = replace(recipe, train=replace(recipe.train, lr=1e30))
    baseline = BaselineRun(
        recipe=wild, seed=0, epochs=2, precision="float32", device="cpu", dataset="digits", data_dir=ROOT
    )
    done = train_baseline(baseline)
    assert done["error"] == "diverged in epoch 1" and "test_accuracy" not in done


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
            yield row()
        finally:
            closed.append(True)

    def full(*_: Any) -> None:
        raise OSError("no space")

    monkeypatch.setattr("hpo.cli.commands.baselines._rows", rows)
    monkeypatch.setattr("hpo.cli.commands.baselines._write", full)
    assert main(["baselines", "--dataset", "digits", "--out", str(tmp_path)]) == 1
    assert closed and len(read_journal(tmp_path / "baselines-digits.jsonl")) == 1


def test_two_at_once_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = Journal(tmp_path / "baselines-digits.jsonl")
    journal.lock()
    assert main(["baselines", "--dataset", "digits", "--out", str(tmp_path)]) == 2
    assert "another hpo baselines is running there" in capsys.readouterr().err
    journal.close()


def test_the_committed_tables_are_made_from_the_committed_runs() -> None:
    folder = ROOT / "results" / "reference"
    rows = read_journal(folder / "baselines.jsonl")
    assert rows and {r["dataset"] for r in rows} == {"mnist"}
    assert (folder / "baselines.md").read_text() == markdown(table(rows))
    assert (folder / "baselines.csv").read_text() == table(rows).to_csv(index=False)
    assert (folder / "baselines.md").read_text() in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--system F", "system F: choose from A"),
        ("--system E --model vgg16", "--model vgg16: no recipe of that name in system E; choose from mlp, cnn"),
        ("--dataset auto", "--dataset auto: name the data set"),
        ("--seeds 0", "--seeds 0: must be at least 1"),
        ("--max-epochs 0", "--max-epochs 0: must be at least 1"),
        ("--jobs 0", "--jobs 0: must be at least 1"),
        ("--out /proc/none", "--out /proc/none: cannot be written"),
    ],
)
def test_wrong_input(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baselines", *line.split()]) == 2
    err = capsys.readouterr().err
    assert err.startswith("hpo: ") and message in err and err.count("\n") == 1
