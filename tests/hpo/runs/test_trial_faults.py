"""What single trials do to a run: they hang, take their worker along, raise, or leave a damaged checkpoint."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from cluster.host.processes import descendants
from hpo.store.journal import read_journal
from tests.helpers.runs import ROOT, STUDY, begun, check_complete, end, optuna_states, start, wait_for

pytestmark = pytest.mark.slow

FAULTY = """
import ctypes, os, signal, sys, time
import torch
from torch import nn

broken = []  # of this process


class Net(nn.Module):
    def __init__(self, input_shape, num_classes, *, fault="none"):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(784, num_classes))
        self.fault = fault

    def forward(self, x):
        if "default_worker" in sys.argv[0]:
            if self.fault == "hang":
                time.sleep(1000)
            if self.fault == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.fault == "exit":
                os._exit(7)
            if self.fault == "segfault":
                ctypes.string_at(0)
            if self.fault == "print":
                print("x" * 1_000_000)
            if self.fault == "memory":
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
            if self.fault == "assert":
                broken.append(True)
            if broken:  # CUDA answers so to whatever the process does next
                raise torch.AcceleratorError("CUDA error: device-side assert triggered")
        return self.layers(x)
"""


def faulty(tmp_path: Path, faults: str, line: str) -> tuple[int, str, str]:
    """A run over an architecture with a fault, from a folder of the user's."""
    (tmp_path / "faulty.py").write_text(FAULTY)
    (tmp_path / "own.toml").write_text(f'[space."faulty:Net"]\nfault = {faults}\nlr = [0.001, 0.002, 0.004]\n')
    command = [sys.executable, str(ROOT / "hpo" / "run.py"), *line.split(), "--config", "own.toml"]
    command += ["--model", "faulty:Net", "--dataset", "digits", "--train-size", "200", "--name", "a"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [*command, "--results-dir", str(tmp_path)], cwd=tmp_path, stdout=pipe, stderr=pipe, text=True
    )
    return end(process, 280)


def test_trials_that_hang_die_and_raise_are_rows_and_the_others_go_on(tmp_path: Path) -> None:
    line = "--trials 5 --finalists 0 --epochs 2 --sampler random --scheduler none --seed 4 --trial-timeout 3s"
    began = time.monotonic()
    code, _, err = faulty(tmp_path, '["none", "hang", "die", "memory"]', line)
    assert (code, err) == (0, ""), err
    assert time.monotonic() - began < 240
    frame = pd.read_csv(tmp_path / "a" / "trials.csv")
    assert len(frame) == 5 and set(frame["fault"]) == {"none", "hang", "die", "memory"}
    by = {fault: frame[frame["fault"] == fault] for fault in set(frame["fault"])}
    assert set(by["none"]["state"]) == {"completed"}
    assert all(set(by[fault]["state"]) == {"failed"} for fault in ("hang", "die", "memory"))
    assert set(by["hang"]["error"]) == {"TimeoutError: longer than --trial-timeout allows (3 s)"}
    assert set(by["hang"]["retries"]) == {1} and set(by["die"]["retries"]) == {2}
    assert by["memory"]["error"].str.startswith("OutOfMemoryError: CUDA out of memory").all()
    logs = "".join(file.read_text(errors="replace") for file in (tmp_path / "a" / "logs").glob("worker-*.err"))
    assert "most recent call first" in logs and "faulty.py" in logs  # where it hung


def test_a_process_that_lost_its_device_takes_no_other_trial(tmp_path: Path) -> None:
    line = "--trials 5 --finalists 0 --epochs 3 --sampler random --seed 2 --concurrency 1"
    code, _, err = faulty(tmp_path, '["none", "assert"]', line)
    assert (code, err) == (0, ""), err
    frame = pd.read_csv(tmp_path / "a" / "trials.csv").sort_values("trial_id")
    lost = frame["fault"] == "assert"
    assert list(lost) == [False, True, True, False, False]
    assert set(frame["retries"]) == {0}
    assert set(frame[lost]["state"]) == {"failed"} and "failed" not in set(frame[~lost]["state"])
    assert set(frame[lost]["error"]) == {"AcceleratorError: CUDA error: device-side assert triggered"}


@pytest.mark.long
def test_a_damaged_checkpoint_costs_the_epochs_since_the_one_before(tmp_path: Path) -> None:
    line = STUDY.replace("--epochs 9", "--epochs 27").replace("--trials 8", "--trials 2")
    process = start(tmp_path, f"{line} --scheduler none --concurrency 1")
    newest = tmp_path / "a" / "checkpoints" / "lenet5-0000@000009.pt"
    wait_for(newest.exists, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    newest.write_bytes(newest.read_bytes()[:-500])
    code, _, err = end(start(tmp_path, "--resume a"))
    assert code == 0, err
    check_complete(tmp_path, 2)
    log = (tmp_path / "a" / "logs" / "hpo.log").read_text()
    assert "lenet5-0000@000009.pt: not a readable checkpoint (BadZipFile): skipped" in log


@pytest.mark.long
def test_a_database_that_is_locked_for_a_while_is_waited_for(tmp_path: Path) -> None:
    process = start(tmp_path, STUDY)
    wait_for(lambda: len(read_journal(tmp_path / "a" / "trials.jsonl")) >= 1, process)
    with sqlite3.connect(tmp_path / "a" / "study.db", isolation_level=None, timeout=60) as other:
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(8)
        other.execute("ROLLBACK")
    code, _, err = end(process)
    assert code == 0, err
    check_complete(tmp_path, 8)


def test_a_database_that_is_gone_ends_the_run_with_what_it_has(tmp_path: Path) -> None:
    process = start(tmp_path, STUDY)
    database = tmp_path / "a" / "study.db"
    wait_for(lambda: len(read_journal(tmp_path / "a" / "trials.jsonl")) >= 2, process)
    with sqlite3.connect(database, timeout=60) as other:
        other.execute("DROP TABLE trial_intermediate_values")
    code, _, err = end(process, 200)
    assert code == 1 and err.count("\n") == 1 and "go on with: python hpo/run.py --resume a" in err, err
    finished = len(read_journal(tmp_path / "a" / "trials.jsonl"))
    assert 2 <= finished < 8 and len(pd.read_csv(tmp_path / "a" / "trials.csv")) == finished


@pytest.mark.long
def test_a_clock_that_was_set_back_confuses_nothing(tmp_path: Path) -> None:
    process = start(tmp_path, STUDY.replace("--trials 8", "--trials 4"))
    wait_for(lambda: len(read_journal(tmp_path / "a" / "trials.jsonl")) >= 1, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    yesterday = (
        "import time; now = time.time; time.time = lambda: now() - 86400\n"
        "import sys; from hpo.run import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", yesterday, "--resume", "a", "--results-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    frame = check_complete(tmp_path, 4)
    assert (frame["wall_time_s"] > 0).all() and (frame["queue_s"] >= 0).all()


@pytest.mark.long
def test_the_file_of_a_ray_that_was_killed_does_not_matter(tmp_path: Path) -> None:
    """Ray would join, or try to join, the cluster that such a file names."""
    stale = Path("/tmp/ray/ray_current_cluster")
    stale.parent.mkdir(exist_ok=True)
    before = stale.read_text() if stale.exists() else None
    stale.write_text("127.0.0.1:9")
    try:
        line = "--model mlp_small --trials 2 --finalists 0 --epochs 1 --dataset digits --name a --quiet"
        code, _, err = end(start(tmp_path, line))
    finally:
        stale.unlink(missing_ok=True)
        if before is not None:
            stale.write_text(before)
    assert (code, err) == (0, ""), err


def test_a_ray_that_dies_ends_the_run_with_a_line(tmp_path: Path) -> None:
    """The head of a cluster, or here of the run's own: half a minute after it was last heard of."""
    process = start(tmp_path, STUDY.replace("--trials 8", "--trials 14"))
    wait_for(lambda: begun(tmp_path) >= 3, process)
    names = {pid: Path(f"/proc/{pid}/comm").read_text().strip() for pid in descendants(process.pid)}
    (heart,) = [pid for pid, name in names.items() if name == "gcs_server"]
    os.kill(heart, signal.SIGKILL)
    code, _, err = end(process, 90)
    finished = len(read_journal(tmp_path / "a" / "trials.jsonl"))
    assert code == 1 and "the Ray cluster at" in err and "does not answer any more" in err, err
    assert "go on with: python hpo/run.py --resume a" in err
    assert len(pd.read_csv(tmp_path / "a" / "trials.csv")) == finished
    code, _, err = end(start(tmp_path, "--resume a"))
    assert code == 0, err
    check_complete(tmp_path, 14)
    assert "RUNNING" not in optuna_states(tmp_path)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("segfault", "its worker ended by Segmentation fault (SIGSEGV); logs/worker-crash-"),
        pytest.param("exit", "its worker called os._exit(7); logs/worker-crash-", marks=pytest.mark.long),
        pytest.param("die", "its worker was killed (SIGKILL)", marks=pytest.mark.long),
    ],
)
def test_a_worker_that_ends_says_how_and_which_log_has_more(tmp_path: Path, fault: str, words: str) -> None:
    code, _, err = faulty(tmp_path, f'["{fault}"]', "--trials 1 --epochs 1 --finalists 0")
    row = pd.read_csv(tmp_path / "a" / "trials.csv").iloc[0]
    assert code == 1 and row["state"] == "failed" and row["error"].startswith(words), err
    if "logs/" in words:
        log = tmp_path / "a" / row["error"].partition("; ")[2].removesuffix(" has more")
        assert "faulty.py" in log.read_text()


def test_what_a_network_prints_is_kept_in_part(tmp_path: Path) -> None:
    code, _, err = faulty(tmp_path, '["print"]', "--trials 2 --epochs 9 --scheduler none --finalists 0")
    assert code == 0, err
    sizes = [log.stat().st_size for log in (tmp_path / "a" / "logs").glob("worker-*")]
    assert sizes and max(sizes) < 1_100_000 and sum(sizes) < 5_000_000
