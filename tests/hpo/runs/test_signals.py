"""Ctrl-C and SIGTERM at any moment of a command, from its first line to its last."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
LINE = "--model lenet5 --trials 4 --epochs 3 --dataset digits --name a"
MOMENTS = 40
USUAL = {0, 7, 14, 23, 30}  # imports, preflight, Ray's start, the search, the end; all of them by hand


def start(tmp_path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "hpo" / "run.py"), *LINE.split(), "--results-dir", str(tmp_path)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def answers(process: subprocess.Popen[str]) -> bool:
    """Whether the command has a handler of its own: Python has none for SIGTERM."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(caught & 1 << (signal.SIGTERM - 1))


@pytest.fixture(scope="module")
def whole_s(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Seconds from Enter to prompt, as busy as the machine is."""
    began = time.monotonic()
    process = start(tmp_path_factory.mktemp("whole"))
    assert process.communicate(timeout=120)[1] == ""
    return time.monotonic() - began


@pytest.mark.parametrize(
    "moment", [pytest.param(n, marks=() if n in USUAL else pytest.mark.long) for n in range(MOMENTS)]
)
def test_a_signal_at_any_moment(moment: int, whole_s: float, tmp_path: Path, listens_to_ctrl_c: None) -> None:
    number = (signal.SIGINT, signal.SIGTERM)[moment % 2]
    process = start(tmp_path)
    while not answers(process):  # it is Python itself that is starting
        time.sleep(0.01)
    time.sleep(moment / MOMENTS * (whole_s - 0.5))
    if process.poll() is not None:
        return  # this one was faster
    began = time.monotonic()
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, err = process.communicate(timeout=60)
    study = tmp_path / "a" / "study.json"
    state = json.loads(study.read_text())["state"] if study.exists() else "not begun"
    if process.returncode == 0:
        assert (err, state) == ("", "complete")  # it was over, and said so
        return
    assert process.returncode == 128 + number, err
    way_on = f"go on with: python hpo/run.py --resume a --results-dir {tmp_path}"
    expected = f"interrupted; {'nothing was begun' if state == 'not begun' else way_on}"
    assert err == f"hpo: {expected}\n" and state in ("not begun", "interrupted")
    assert time.monotonic() - began < 10
