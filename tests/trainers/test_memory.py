from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
CODE = """
import resource, torch
from trainers.memory import keep_freed_memory
if {keep}: assert keep_freed_memory()
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step(): return [torch.ones(5_000_000) for _ in range(3)]
for _ in range(10): step()
before = faults()
for _ in range(20): step()
print(faults() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the C library's settings are glibc's")
def test_the_kernel_is_not_asked_for_the_same_pages_again() -> None:
    def faults(keep: bool) -> int:
        command = [sys.executable, "-c", CODE.format(keep=keep)]
        return int(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)

    assert faults(True) * 4 < faults(False)
