"""Runs as a user starts them, and what befalls them: kills, signals, a second driver, lost workers."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from hpo.store.journal import read_journal
from tests.helpers.runs import (
    LOADING,
    STUDY,
    begun,
    check_complete,
    end,
    finished,
    kill_worker,
    optuna_states,
    start,
    wait_for,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.long) for n in range(1, 10))])
def test_a_killed_driver_loses_nothing(tmp_path: Path, seed: int) -> None:
    rng = random.Random(time.time_ns() + seed)
    process = start(tmp_path, STUDY)
    wait_for((tmp_path / "a").exists, process)
    time.sleep(rng.uniform(0, 16))
    process.kill()
    process.communicate()
    before = read_journal(tmp_path / "a" / "trials.jsonl")
    assert len(pd.read_csv(tmp_path / "a" / "trials.csv")) <= len(before) <= 8
    code, _, err = end(start(tmp_path, "--resume a"))
    assert code == 0, err
    check_complete(tmp_path, 8)
    after = {row["trial_id"]: row for row in read_journal(tmp_path / "a" / "trials.jsonl")}
    assert all(after[row["trial_id"]] == row for row in before)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_one_signal_ends_a_run_well(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, STUDY)
    wait_for(lambda: begun(tmp_path) >= 5, process)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    code, _, err = end(process, 30)
    assert code == 128 + number and err.startswith("hpo: interrupted; go on with: python hpo/run.py --resume a"), err
    frame = pd.read_csv(tmp_path / "a" / "trials.csv")
    assert len(frame) == finished(tmp_path) < 8 and list(frame["rank"]) == list(range(1, len(frame) + 1))
    assert "RUNNING" not in optuna_states(tmp_path) and "WAITING" in optuna_states(tmp_path)
    code, out, err = end(start(tmp_path, "--resume a --quiet"))
    assert (code, out, err) == (0, f"{tmp_path}/a/trials.csv\n", "")
    check_complete(tmp_path, 8)


@pytest.mark.long
def test_two_signals_end_it_at_once(tmp_path: Path) -> None:
    process = start(tmp_path, STUDY)
    wait_for(lambda: begun(tmp_path) >= 2, process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    code, _, err = end(process, 20)
    assert (code, err) == (130, "")
    assert len(pd.read_csv(tmp_path / "a" / "trials.csv")) <= finished(tmp_path)
    assert end(start(tmp_path, "--resume a"))[0] == 0
    check_complete(tmp_path, 8)


def test_a_second_driver_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    process = start(tmp_path, STUDY)
    wait_for((tmp_path / "a").exists, process)
    code, out, err = end(start(tmp_path, "--resume a"))
    assert code == 2 and out in ("", LOADING)
    assert err == f"hpo: --resume a: another driver is using {tmp_path}/a\n"
    code, _, err = end(start(tmp_path, STUDY))
    assert code == 2 and "already exists" in err
    assert end(process)[0] == 0
    check_complete(tmp_path, 8)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the worker in /proc, which only Linux has")
def test_a_killed_worker_is_replaced_and_its_trial_goes_on(tmp_path: Path) -> None:
    line = STUDY.replace("--epochs 9", "--epochs 27").replace("--trials 8", "--trials 3")
    process = start(tmp_path, f"{line} --scheduler none --concurrency 1")
    wait_for(lambda: (tmp_path / "a" / "checkpoints" / "lenet5-0001@000003.pt").exists(), process)
    kill_worker(process)
    code, _out, err = end(process, 240)
    assert code == 0, err
    frame = check_complete(tmp_path, 3).set_index("trial_id")
    assert frame.loc["lenet5-0001", "retries"] == 1 and frame["retries"].sum() == 1
    assert set(frame["state"]) == {"completed"} and frame.loc["lenet5-0001", "epochs"] == 27


def test_the_output_of_a_run_that_is_no_terminal(tmp_path: Path) -> None:
    code, out, err = end(start(tmp_path, "--model mlp_small --trials 3 --epochs 2 --dataset digits --name a"))
    assert (code, err) == (0, "")
    lines = [line for line in out.splitlines() if not line.endswith(" ...")]  # those of slow phases
    assert [line.split(":")[0] for line in lines[:4]] == ["models", "trials", "data", "runs on"]
    assert [line[:5] for line in lines[4:7]] == ["[1/3]", "[2/3]", "[3/3]"]
    assert [line[:14] for line in lines[7:10]] == [f"[{number}/3] final of" for number in (1, 2, 3)]
    assert lines[10] == "Trials, best first" and lines[-1].startswith("the winner again: ")


def test_a_disk_that_is_full_ends_the_run_with_what_it_has(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(mount)], capture_output=True)
    if done.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        process = start(mount, STUDY)
        wait_for(lambda: begun(mount) >= 3, process)
        until = time.monotonic() + 120
        with (mount / "filler").open("wb", buffering=0) as filler:
            while process.poll() is None and time.monotonic() < until:
                with contextlib.suppress(OSError):
                    while True:  # also what a finished trial's checkpoint leaves free
                        filler.write(bytes(1024))
                time.sleep(0.02)
        code, _, err = end(process)
        assert code == 1 and err.startswith("hpo: ") and err.count("\n") == 1, err
        assert "No space left on device" in err or "disk is full" in err
        assert f"; when that is mended, go on with: python hpo/run.py --resume a --results-dir {mount}" in err
        assert len(read_journal(mount / "a" / "trials.jsonl")) < 8
        assert len(pd.read_csv(mount / "a" / "trials.csv")) <= finished(mount)
        (mount / "filler").unlink()
        code, _, err = end(start(mount, "--resume a"))
        assert code == 0, err
        check_complete(mount, 8)
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)
