from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CODE = """
import resource
from functools import partial
from pathlib import Path
from models import build_model
from trainers.config import TrainConfig
from trainers.data.dataset import load_dataset
from trainers.cpu.memory import keep_freed_memory
from trainers.single import SingleTrainer

if {keep}:
    assert keep_freed_memory()
data = load_dataset("digits", Path("x"), train_size=512).training
trainer = SingleTrainer(partial(build_model, "compact_7k", (1, 28, 28), 10), data, TrainConfig())
trainer.step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
trainer.step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the C library's settings are glibc's")
def test_training_does_not_ask_the_kernel_for_the_same_pages_again() -> None:
    def faults(keep: bool) -> int:
        command = [sys.executable, "-c", CODE.format(keep=keep)]
        return int(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)

    assert faults(True) * 2 < faults(False)
