"""Makes one small file of the trials that tests.benchmarks.tables.make has trained.

    python -m tests.benchmarks.tables.pack FOLDER

FOLDER may still grow; what is there by now is packed. The file goes into the repository, beside the search spaces that
its configurations were drawn from.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tests.benchmarks.tables.configurations import ARCHITECTURES, read_spaces, write_spaces
from tests.benchmarks.tables.images import DATASETS
from tests.benchmarks.tables.tables import FILE, FOLDER, KEYS, MOMENTS


def pack(source: Path, target: Path) -> Path:
    """Writes the trials in `source` to one file in `target`, and returns it."""
    spaces = read_spaces(source)
    names = list(dict.fromkeys(key for space in spaces.values() for key in space.distributions))
    rows = [row for name in ARCHITECTURES for dataset in DATASETS for row in _rows(source, name, dataset)]
    frame = pd.DataFrame(rows, columns=[*KEYS, *names, *MOMENTS, "seconds"])
    target.mkdir(parents=True, exist_ok=True)
    frame.to_csv(target / FILE, index=False, lineterminator="\n")
    write_spaces(target, spaces)
    return target / FILE


def _rows(source: Path, architecture: str, dataset: str) -> list[dict[str, Any]]:
    """Returns the trials of one table: those of the first seed, then those of the second."""
    file = source / f"{architecture}-{dataset}.jsonl"
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    # The last line may still be being written.
    trials = [json.loads(line) for line in lines if line.endswith("\n")]
    trials.sort(key=lambda trial: (trial["repetition"], trial["number"]))
    return [_row(trial, architecture, dataset) for trial in trials]


def _row(trial: dict[str, Any], architecture: str, dataset: str) -> dict[str, Any]:
    keys = dict(zip(KEYS, (architecture, dataset, trial["number"], trial["repetition"]), strict=True))
    accuracies = dict(zip(MOMENTS, trial["accuracies"], strict=True))
    return {**keys, **trial["params"], **accuracies, "seconds": trial["seconds"]}


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    file = pack(options.folder, options.out)
    print(f"{file}: {file.stat().st_size:,} bytes")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="pack.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the --out of tests.benchmarks.tables.make")
    parser.add_argument("--out", type=Path, default=FOLDER, help="the folder of the packed file")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
