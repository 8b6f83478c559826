"""From Enter to the first result, against what PyTorch's and Ray's own start takes alone.

The clock stops when the first trial is in the journal. The other side is a Python that imports torch, imports ray and
calls ray.init, one after another, as a script does.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.table import Row, row

ROOT = Path(__file__).resolve().parents[2]
RUN = "--model mlp_small --dataset digits --trials 2 --epochs 1 --finalists 0 --name a --quiet"
ALONE = """if True:
    import torch, ray
    ray.init(num_cpus=2, include_dashboard=False, logging_level=40)
    print("ready", flush=True)
"""


def measure(repetitions: int, say: Callable[[str], None]) -> Iterator[Row]:
    sides: dict[str, Callable[[], float]] = {"podium": podium, "import torch, import ray, ray.init": alone}
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(repetitions + 1):
        for side, run in sides.items():
            spent = run()
            say(f"{side}: {spent:.1f} s")
            if number:  # the first round warms the disk's cache up
                seconds[side].append(spent)
    for side, values in seconds.items():
        yield row("start", "digits", side, "seconds", values)
    ratios = [ours / theirs for ours, theirs in zip(*seconds.values(), strict=True)]
    yield row("start", "digits", "podium", "times what the parts take alone", ratios)


def podium() -> float:
    """Seconds until the first trial of a run is in its journal."""
    with TemporaryDirectory() as folder:
        journal = Path(folder) / "a" / "trials.jsonl"
        began = time.perf_counter()
        command = [sys.executable, str(ROOT / "hpo" / "run.py"), *RUN.split(), "--results-dir", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while not (journal.exists() and journal.stat().st_size):
            if process.poll() is not None:
                raise RuntimeError(f"podium ended with {process.returncode} before its first result")
            time.sleep(0.02)
        spent = time.perf_counter() - began
        process.wait()
    return spent


def alone() -> float:
    """Seconds until a script that only starts Ray beside PyTorch could start to work."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", ALONE], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise RuntimeError("Ray does not start")
    spent = time.perf_counter() - began
    process.communicate()
    return spent
