"""Many short trials on a cluster of four nodes: all of them rows, and a driver and an object store that do not grow."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from hpo.store.journal import read_journal
from tests.cluster.conftest import ROOT, LocalCluster, make_cluster


@pytest.fixture(scope="module")
def four_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    yield from make_cluster(tmp_path_factory.mktemp("home"), 4)


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def stored_mib(cluster: LocalCluster) -> float:
    """What lies in the cluster's object stores."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "memory", "--stats-only", f"--address={cluster.address}"]
    environment = {**cluster.environment, "RAY_AUTH_MODE": "token"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = re.findall(r"Plasma memory usage ([0-9.]+) MiB", done.stdout)
    assert found, done.stdout + done.stderr
    return sum(map(float, found))


def waits(journal: Path, trials: int) -> Iterator[None]:
    """Goes on half-way, and near the end."""
    for part in (0.5, 0.95):
        while len(read_journal(journal)) < part * trials:
            time.sleep(0.5)
        yield


@pytest.mark.long
@pytest.mark.parametrize("trials", [120, 2000])
def test_many_short_trials(four_nodes: LocalCluster, tmp_path: Path, trials: int) -> None:
    line = f"--address {four_nodes.address} --model mlp_small --trials {trials} --epochs 1 --dataset digits"
    line += " --finalists 0 --train-size 100 --sampler random --quiet --name a"
    command = [str(ROOT / "hpo" / "run.py"), *line.split(), "--results-dir", str(tmp_path)]
    process = four_nodes.start(command, ROOT)
    journal, sizes, stored = tmp_path / "a" / "trials.jsonl", {}, []
    began = time.monotonic()
    watcher = ThreadPoolExecutor().submit(lambda: [stored_mib(four_nodes) for _ in waits(journal, trials)])
    # Until the last trial: then the report brings its own libraries into memory.
    while (finished := len(read_journal(journal))) < trials:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - began < 120 + trials
        sizes[finished] = resident_bytes(process.pid)
        time.sleep(0.1)
    stored = watcher.result()
    _out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, ""), err
    frame = pd.read_csv(tmp_path / "a" / "trials.csv")
    assert len(frame) == trials and set(frame["state"]) <= {"completed", "diverged"}
    first, *_, last = (finished for finished in sizes if finished >= trials / 4)
    growth, (half, full) = (sizes[last] - sizes[first]) / (last - first), stored
    print(
        f"{trials} trials in {time.monotonic() - began:.0f} s on {frame['node'].nunique()} nodes; the driver grew by "
    )
    print(f"{growth / 1000:.1f} kB a trial; the object stores held {half:.1f} MiB half-way, {full:.1f} MiB later")
    assert growth <= 100_000
    assert full <= half + 0.5
