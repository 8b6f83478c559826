"""The end of a command's process: as Python's own, but for the memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import atexit
from hpo.system.leaving import leave

class Kept:
    def __del__(self):
        print("taken apart")

kept = Kept()
atexit.register(print, "at the end")
print("said", end=" ")
leave(CODE)
"""


def run(code: int, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("CODE", str(code))],
        cwd=ROOT,
        text=True,
        stderr=subprocess.PIPE,
        **options,
    )  # type: ignore[call-overload, no-any-return]


def test_what_was_said_arrives_and_what_is_registered_runs() -> None:
    done = run(3, stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout, done.stderr) == (3, "said at the end\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_not_passed_over() -> None:
    with Path("/dev/full").open("w") as full:
        done = run(0, stdout=full)
    assert done.returncode and "No space left on device" in done.stderr
