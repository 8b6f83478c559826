"""Many runs on one machine: none gets in the way of another, and nothing of them is left."""

from __future__ import annotations

import os
import random
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers.runs import ROOT, end

pytestmark = pytest.mark.long
LINE = "--model lenet5 --trials 3 --epochs 2 --dataset digits --finalists 1 --final-seeds 1 --quiet"
RUNS, KILLED = 20, 5


class Place:
    """A folder for temporary files that only these runs have, and a mark by which their processes are known."""

    def __init__(self, temporary: Path) -> None:
        self.temporary, self.mark = temporary, secrets.token_hex(8)
        self.environment = {**os.environ, "TMPDIR": str(temporary), "PODIUM_TEST_MARK": self.mark}
        self.shared_memory = set(os.listdir("/dev/shm"))

    def start(self, results: Path, line: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(ROOT / "hpo" / "run.py"), *line.split(), "--results-dir", str(results)]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )

    def processes(self) -> list[str]:
        """The command lines of all processes that the runs, or theirs, started."""
        found = []
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and self.mark.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue  # it has ended, or is somebody else's
        return found

    def check_empty(self) -> None:
        until = time.monotonic() + 15  # Ray's own processes notice within seconds that their run was killed
        while self.processes() and time.monotonic() < until:
            time.sleep(0.2)
        assert self.processes() == []
        assert [path.name for path in self.temporary.iterdir()] == []
        assert set(os.listdir("/dev/shm")) - self.shared_memory == set()


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as folder:  # short, for Ray's sockets
        yield Place(Path(folder))


def test_twelve_at_one_moment_are_all_complete(place: Place, tmp_path: Path) -> None:
    processes = [place.start(tmp_path, LINE) for _ in range(12)]
    ended = [end(process, 900) for process in processes]
    assert [(code, err) for code, _, err in ended] == [(0, "")] * 12
    folders = [Path(out.splitlines()[-1]).parent for _, out, _ in ended]
    assert len(set(folders)) == 12
    for folder in folders:
        assert len(pd.read_csv(folder / "trials.csv")) == 3 and (folder / "best.pt").exists()
        assert not (folder / "checkpoints").exists()
    place.check_empty()


def test_nothing_of_twenty_runs_is_left_though_some_were_killed(place: Place, tmp_path: Path) -> None:
    rng = random.Random(7)
    killed = set(rng.sample(range(RUNS), KILLED))
    for number in range(RUNS):
        process = place.start(tmp_path, f"{LINE} --name r{number}")
        if number in killed:
            while not (tmp_path / f"r{number}").exists():
                assert process.poll() is None, process.communicate()
                time.sleep(0.02)
            time.sleep(rng.uniform(0, 8))
            process.kill()
            process.communicate()
            process = place.start(tmp_path, f"--resume r{number} --quiet")
        code, _, err = end(process, 300)
        assert (code, err) == (0, "")
        assert len(pd.read_csv(tmp_path / f"r{number}" / "trials.csv")) == 3
    place.check_empty()
