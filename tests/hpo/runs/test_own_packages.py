"""Runs in a folder whose packages are called as Podium's: models, trainers, cluster and hpo."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[3]
SHORT = "--dataset digits --train-size 200 --trials 2 --epochs 1 --final-seeds 1 --concurrency 1 --name a"
# As the installed command does it: Podium is found on the search path, and the current folder is not on it.
INSTALLED = (
    f"import sys; sys.path[0] = {str(ROOT)!r}; from hpo.__main__ import main; sys.exit(main(['run', *sys.argv[1:]]))"
)
NET = """
from torch import nn

from .blocks import HIDDEN


class Net(nn.Sequential):
    def __init__(self, shape, classes, *, width=HIDDEN):
        super().__init__(nn.Flatten(), nn.Linear(784, width), nn.ReLU(), nn.Linear(width, classes))
"""
COMMANDS = {"script": [str(ROOT / "hpo" / "run.py")], "installed": ["-c", INSTALLED]}


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    for name in ("models", "trainers", "cluster", "hpo"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('imported in place of Podium')\n")
    (tmp_path / "models" / "blocks.py").write_text("HIDDEN = 8\n")
    (tmp_path / "models" / "mynet.py").write_text(NET)
    return tmp_path


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=180
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [pytest.param(COMMANDS["script"], marks=pytest.mark.long), COMMANDS["installed"]],
    ids=["script", "installed"],
)
def test_a_file_in_them_is_searched_and_the_winner_used(theirs: Path, command: list[str]) -> None:
    refused = run(theirs, *command, "--model", "models.mynet:Net", *SHORT.split())
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert refused.stderr.endswith("name your file instead: --model models/mynet.py:Net\n")
    own = ["--model", "models/mynet.py:Net"]
    done = run(theirs, *command, *own, *SHORT.split())
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    frame = pd.read_csv(theirs / "results" / "a" / "trials.csv")
    assert set(frame["model"]) == {"models/mynet.py:Net"} and set(frame["state"]) == {"completed"}
    assert set(frame["trial_id"]) == {"mynet.py:Net-0000", "mynet.py:Net-0001"}
    untrusted = run(theirs, *command, "--resume", "a")
    assert untrusted.returncode == 2 and "to trust it, add --model models/mynet.py:Net\n" in untrusted.stderr
    if command[0] == "-c":
        further = run(theirs, *command, "--resume", "a", "--trials", "3", *own)
        assert (further.returncode, further.stderr) == (0, ""), further.stdout + further.stderr
        assert len(pd.read_csv(theirs / "results" / "a" / "trials.csv")) == 3


@pytest.mark.slow
def test_it_is_trained_evaluated_and_exported_there(theirs: Path) -> None:
    hpo = ["-c", INSTALLED.replace("['run', *sys.argv[1:]]", "sys.argv[1:]")]
    own = ["--model", "models/mynet.py:Net"]
    lines = [
        ["train", *own, "--dataset", "digits", "--train-size", "200", "--epochs", "1", "--name", "t"],
        ["train", "--from", "results/t", *own, "--epochs", "1", "--name", "again"],
        ["evaluate", "results/t", *own],
        ["export", "results/t", "--format", "pt2", "--out", "net.pt2", *own],
        ["models", "models/mynet.py:Net"],
    ]
    for line in lines:
        done = run(theirs, *hpo, *line)
        assert (done.returncode, done.stderr) == (0, ""), (line, done.stdout, done.stderr)
    train = run(theirs, *hpo, "train", *own, "--dataset", "digits", "--train-size", "200", "--epochs", "1")
    assert train.returncode == 0 and len(list((theirs / "results").glob("mynet.py-Net-*/best.pt"))) == 1
