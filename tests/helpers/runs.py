"""Runs as a user starts them, in a process of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pandas as pd

from cluster.host.processes import descendants
from hpo.store.journal import read_journal

ROOT = Path(__file__).parents[2]

LOADING = "loading PyTorch and Ray ...\n"  # what a command in a pipe says where that is slow
STUDY = "--model lenet5 --trials 8 --finalists 0 --epochs 9 --dataset digits --name a"


def start(tmp_path: Path, line: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "hpo" / "run.py"), *line.split(), "--results-dir", str(tmp_path)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def finished(tmp_path: Path) -> int:
    return len(read_journal(tmp_path / "a" / "trials.jsonl"))


def begun(tmp_path: Path) -> int:
    """How many trials are finished, or have left a checkpoint."""
    names = {path.name.partition("@")[0] for path in (tmp_path / "a" / "checkpoints").glob("*.pt")}
    return len(names | {row["trial_id"] for row in read_journal(tmp_path / "a" / "trials.jsonl")})


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never happened"
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def end(process: subprocess.Popen[str], seconds: float = 120) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def optuna_states(tmp_path: Path) -> list[str]:
    study = optuna.load_study(study_name="lenet5", storage=f"sqlite:///{tmp_path}/a/study.db")
    return [trial.state.name for trial in study.trials]


def check_complete(tmp_path: Path, trials: int) -> pd.DataFrame:
    """Exactly the trials asked for: none lost, none twice, none left running."""
    frame = pd.read_csv(tmp_path / "a" / "trials.csv")
    assert list(frame["rank"]) == list(range(1, trials + 1))
    assert sorted(frame["trial_id"]) == [f"lenet5-{n:04d}" for n in range(trials)]
    assert len(read_journal(tmp_path / "a" / "trials.jsonl")) == trials
    states = optuna_states(tmp_path)
    assert len(states) == trials and set(states) <= {"COMPLETE", "PRUNED"}
    assert not (tmp_path / "a" / "checkpoints").exists()
    curves = pd.read_csv(tmp_path / "a" / "curves.csv")
    for trial_id, epochs in frame.set_index("trial_id")["epochs"].items():
        assert list(curves[curves["trial_id"] == trial_id]["epoch"]) == list(range(1, epochs + 1))
    return frame


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def training_workers(process: subprocess.Popen[str]) -> list[int]:
    return [pid for pid in descendants(process.pid) if "Trainable" in command(pid)]


def kill_worker(process: subprocess.Popen[str]) -> None:
    """The only one that trains."""
    workers: list[int] = []
    wait_for(lambda: workers.extend(training_workers(process)) or workers, process)
    (worker,) = workers
    os.kill(worker, signal.SIGKILL)
