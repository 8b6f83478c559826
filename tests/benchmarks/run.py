"""Podium against what its users run today, on this machine, in one run.

    PODIUM_DATA_DIR=... python tests/benchmarks/run.py [--quick] [--only SECTION ...]

The sides take turns, after a warm-up; every figure is the median of at least five repetitions, with the lowest and the
highest. Writes results/reference/benchmarks.csv, benchmarks.md and benchmarks.png, and race.csv and race.png. --only
replaces the rows of some sections there, --quick tries everything once and writes to a temporary folder.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)
if TYPE_CHECKING:
    from tests.benchmarks.table import Row


def main() -> None:
    from tests.benchmarks.table import ORDER, draw, markdown, merge

    options = _options()
    os.environ["PYTHONPATH"] = str(ROOT)  # for the processes of some sides
    logging.disable(logging.WARNING)
    folder = Path(tempfile.mkdtemp()) if options.quick else ROOT / "results" / "reference"
    for section in options.only or ORDER:
        rows = list(_measure(section, options.quick, folder))
        frame = merge(folder / "benchmarks.csv", rows)
        (folder / "benchmarks.md").write_text(markdown(frame))
        draw(frame, folder / "benchmarks.png")
    print((folder / "benchmarks.md").read_text())
    print(f"written to {folder / 'benchmarks.csv'}, .md and .png")


def _measure(section: str, quick: bool, folder: Path) -> Iterator[Row]:
    from tests.benchmarks import growth, job, overhead, race, search, start, throughput

    data = Path(os.environ.get("PODIUM_DATA_DIR") or "data").resolve()
    began, repetitions = time.monotonic(), 1 if quick else 5

    def say(words: str) -> None:
        print(f"[{time.monotonic() - began:6.0f} s] {section}: {words}", flush=True)

    if section == "throughput":
        names = ["mlp", "lenet5"] if quick else list(throughput.IMAGES)
        yield from throughput.measure(data, repetitions, names, say)
    elif section == "precision":
        yield from throughput.compare_precisions(data, repetitions, quick, say)
    elif section == "start":
        yield from start.measure(repetitions, say)
    elif section == "overhead":
        yield from overhead.measure(repetitions, say)
    elif section == "job":
        yield from job.measure(data, repetitions, quick, say)
    elif section == "race":
        yield from race.measure(data, folder, repetitions, quick, say)
    elif section == "search":
        yield from search.measure(2 if quick else 20, say)
    else:
        yield from growth.measure(repetitions, 100 if quick else 10_000, say)


def _options() -> argparse.Namespace:
    from tests.benchmarks.table import ORDER

    parser = argparse.ArgumentParser(description="Podium against what its users run today.")
    parser.add_argument("--quick", action="store_true", help="everything once, small, to see that it works")
    parser.add_argument("--only", nargs="+", choices=ORDER, help="some sections alone")
    return parser.parse_args()


if __name__ == "__main__":
    main()
