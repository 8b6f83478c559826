"""A trial that eats memory until the kernel ends its worker, in a control group of the run's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers.runs import ROOT, end

pytestmark = pytest.mark.slow
MAX_BYTES = 7 * 10**9

HUNGRY = """
import sys
from torch import nn


class Net(nn.Module):
    def __init__(self, input_shape, num_classes, *, hungry=False):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(784, num_classes))
        self.hungry, self.eaten = hungry, []

    def forward(self, x):
        while self.hungry and "default_worker" in sys.argv[0]:
            self.eaten.append(bytearray(b"x") * 200_000_000)
        return self.layers(x)
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group whose processes may have MAX_BYTES together, as either version of the kernel's has it."""
    for top, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        folder = Path(top) / f"podium-test-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / limit).write_text(str(MAX_BYTES))
            yield folder
            return
        except OSError:
            continue
        finally:
            folder.rmdir()
    pytest.skip("needs the right to make a control group with a memory limit")


def test_a_trial_that_eats_all_memory_is_a_row_and_the_others_go_on(tmp_path: Path, group: Path) -> None:
    (tmp_path / "hungry.py").write_text(HUNGRY)
    (tmp_path / "own.toml").write_text('[space."hungry:Net"]\nhungry = [false, true]\nlr = [0.001, 0.002, 0.004]\n')
    line = "--model hungry:Net --config own.toml --trials 4 --epochs 2 --sampler random --seed 1 --concurrency 1"
    line += " --finalists 0"
    line += f" --dataset digits --train-size 200 --scheduler none --name a --results-dir {tmp_path}"
    # The shell moves itself into the group, and with it all that it becomes and starts.
    into = f'echo $$ > {group}/cgroup.procs && exec "$@"'
    command = ["sh", "-c", into, "sh", sys.executable, str(ROOT / "hpo" / "run.py"), *line.split()]
    pipe = subprocess.PIPE
    code, _, err = end(subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True), 240)
    assert (code, err) == (0, ""), err
    frame = pd.read_csv(tmp_path / "a" / "trials.csv")
    eaters, others = frame[frame["hungry"]], frame[~frame["hungry"]]
    assert len(frame) == 4 and len(eaters) and len(others)
    assert set(others["state"]) == {"completed"}
    assert set(eaters["state"]) == {"failed"} and set(eaters["retries"]) == {2}
    assert eaters["error"].str.contains("actor|worker", case=False).all()
