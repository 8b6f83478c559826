"""The whole job: the same 16 configurations by Podium, plain Ray Tune and plain Optuna.

What is timed is the whole process, from its start to its end: imports, Ray, workers, results and all.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks import splits
from tests.benchmarks.table import Row, row

NAMES = {"podium": "podium", "ray": "plain Ray Tune", "optuna": "plain Optuna"}
TRAIN = 6000  # images
SCRIPT = Path(__file__).with_name("peers") / "job.py"
Results = dict[str, list[tuple[float, float]]]  # seconds and best accuracy, by side


def measure(data: Path, repetitions: int, quick: bool, say: Callable[[str], None]) -> Iterator[Row]:
    """The same 16 configurations; nothing is stopped early."""
    yield from _rows("16 configurations of cnn", _measured(data, repetitions, ["--quick"] * quick, say))


def run(side: str, data: Path, places: Path, *more: str) -> tuple[float, float]:
    """Seconds of one side's process, and the best accuracy it found."""
    began = time.perf_counter()
    command = [sys.executable, str(SCRIPT), side, str(data), str(places), *more]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{side}: {done.stderr[-2000:]}")
    return time.perf_counter() - began, float(done.stdout.split()[-1])


def _measured(data: Path, repetitions: int, flags: list[str], say: Callable[[str], None]) -> Results:
    """The sides in turn, each time in another order; after a short warm-up."""
    results: Results = {side: [] for side in NAMES}
    with TemporaryDirectory() as folder:
        places = splits.save(data, Path(folder) / "splits.npz", TRAIN)
        for side in NAMES:
            run(side, data, places, "--quick")
        for number in range(repetitions):
            sides = list(NAMES)[number % len(NAMES) :] + list(NAMES)[: number % len(NAMES)]
            for side in sides:
                results[side].append(run(side, data, places, *flags))
                say(f"{side}: {results[side][-1][0]:.1f} s, best {results[side][-1][1]:.4f}")
    return results


def _rows(case: str, results: Results) -> Iterator[Row]:
    ours = [spent for spent, _ in results["podium"]]
    for side, values in results.items():
        yield row("job", case, NAMES[side], "seconds", [spent for spent, _ in values])
        yield row("job", case, NAMES[side], "best validation accuracy", [best for _, best in values])
        if side != "podium":
            ratios = [theirs / our for (theirs, _), our in zip(values, ours, strict=True)]
            yield row("job", case, "podium", f"times faster than {NAMES[side]}", ratios)
