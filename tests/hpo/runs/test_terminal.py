"""A run on a terminal: there is always something to see, and Ctrl-C is answered at once."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("listens_to_ctrl_c")]
ROOT = Path(__file__).parents[3]
RUN = "--model mlp_small --dataset digits --trials 3 --epochs 2 --name a --results-dir"
LONGEST_SILENCE_S = 10.0  # two seconds where nothing else is at work; the machine of a test is a busy one
PHASES = (
    "loading PyTorch and Ray",
    "checking settings and images",
    "starting Ray",
    "starting workers",
    "finals: the best configurations are trained anew",
    "writing results and the report",
)


@dataclass
class Seen:
    """What a terminal has shown."""

    text: str
    silence_s: float
    """The longest time without anything new, from the first output on."""
    code: int


def on_terminal(line: str, act: Callable[[str, int], None] = lambda *_: None, terminal: str = "xterm") -> Seen:
    """Runs the command on a pseudo-terminal of 100 columns. act: is called with what was shown so far and the process
    id, whenever there is something new."""
    process, terminal_end = pty.fork()
    if process == 0:
        os.chdir(ROOT)
        environment = {**os.environ, "TERM": terminal, "COLUMNS": "100"}
        os.execve(sys.executable, [sys.executable, "hpo/run.py", *line.split()], environment)
    text, silence, last, until = "", 0.0, time.monotonic(), time.monotonic() + 240
    while time.monotonic() < until:
        if not select.select([terminal_end], [], [], 0.1)[0]:
            continue
        try:
            new = os.read(terminal_end, 65536)
        except OSError:  # the other end is closed
            break
        now = time.monotonic()
        silence, last = max(silence, now - last if text else 0.0), now
        text += new.decode(errors="replace")
        act(text, process)
    else:
        os.kill(process, signal.SIGKILL)
    os.close(terminal_end)
    return Seen(text, silence, os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))


def test_there_is_always_something_to_see(tmp_path: Path) -> None:
    seen = on_terminal(f"{RUN} {tmp_path}")
    assert seen.code == 0, seen.text
    places = [seen.text.find(words) for words in PHASES]
    assert -1 not in places and places == sorted(places), (places, seen.text)
    assert seen.silence_s < LONGEST_SILENCE_S
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.text).splitlines()
    assert any(line.startswith("the winner again:") for line in last)


def test_a_dumb_terminal_gets_numbered_lines(tmp_path: Path) -> None:
    seen = on_terminal(f"{RUN} {tmp_path} --finalists 0", terminal="dumb")
    assert seen.code == 0 and "[3/3] mlp_small-" in seen.text and "\x1b[2K" not in seen.text, seen.text
    assert seen.silence_s < LONGEST_SILENCE_S


def test_a_pipe_hears_of_every_phase_that_is_slow(tmp_path: Path) -> None:
    line = [sys.executable, "-u", "hpo/run.py", *f"{RUN} {tmp_path}".split()]
    texts, silence, last = [], 0.0, time.monotonic()
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        for text in process.stdout:
            now = time.monotonic()
            # A phase is announced once, and may take long on a busy machine.
            announced = bool(texts) and texts[-1].endswith(" ...\n")
            silence, last = max(silence, 0.0 if announced else now - last), now
            texts.append(text)
    assert process.returncode == 0 and silence < LONGEST_SILENCE_S, (silence, texts)


def test_ctrl_c_is_answered_at_once(tmp_path: Path) -> None:
    pressed, answered = [], []

    def press(text: str, process: int) -> None:
        if not pressed and "epoch 1/200" in text:
            pressed.append(time.monotonic())
            os.kill(process, signal.SIGINT)
        if not answered and "stopping, saving what is finished" in text:
            answered.append(time.monotonic())

    line = f"{RUN} {tmp_path} --scheduler none".replace("--epochs 2", "--epochs 200").replace(
        "--trials 3", "--trials 9"
    )
    seen = on_terminal(line, press)
    assert seen.code == 130 and pressed and answered, seen.text
    assert answered[0] - pressed[0] < 2 and "interrupted; go on with: " in seen.text
