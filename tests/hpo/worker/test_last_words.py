"""What a worker's process writes down of its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cluster.host.worker_logs import CRASH
from tests.helpers.runs import ROOT

pytestmark = pytest.mark.slow
SCRIPT = """
import ctypes, os
from hpo.worker import last_words
last_words.logs_folder = lambda: {folder!r}  # Ray's, of which there is none here
last_words.write_last_words()
last_words.write_last_words()
last_words.trains("cnn-0007")
{end}
"""


def end(folder: Path, line: str) -> tuple[int, str]:
    """The exit code, and what was written down."""
    script = SCRIPT.format(folder=str(folder), end=line)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    (file,) = folder.iterdir()
    assert file.name.startswith(CRASH) and done.stderr == ""
    return done.returncode, file.read_text()


def test_an_exit_in_the_middle_leaves_its_code_and_where(tmp_path: Path) -> None:
    code, words = end(tmp_path, "os._exit(7)")
    assert code == 7 and words.startswith(":trains cnn-0007\nos._exit(7)\n") and "most recent call first" in words


def test_a_fault_leaves_a_traceback(tmp_path: Path) -> None:
    code, words = end(tmp_path, "ctypes.string_at(0)")
    assert code < 0 and words.startswith(":trains cnn-0007\n") and "Segmentation fault" in words


def test_podiums_own_leaving_and_a_fork_leave_nothing(tmp_path: Path) -> None:
    code, words = end(tmp_path, "os.fork() or os._exit(3)\nos.wait()\nlast_words.leave(5)")
    assert (code, words) == (5, ":trains cnn-0007\n")
