"""The best accuracy known of each task: the highest of all epochs of 20,000 random configurations. Writes optima.csv.

PODIUM_DATA_DIR=... python -m tests.benchmarks.lcbench.optima
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
from optuna.distributions import IntDistribution

from tests.benchmarks.lcbench.surrogate import INPUTS, OPTIMA, SPLITS, Number, Surrogate, space, tasks

CONFIGS, CHUNK = 20_000, 20  # a chunk's layers fit into the processor's cache: three times as fast


def main() -> None:
    folder = Path(os.environ["PODIUM_DATA_DIR"]) / "lcbench"
    configs = draw(space(folder), CONFIGS, np.random.default_rng(0))
    with OPTIMA.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["task", "accuracy"])
        for task in sorted(tasks(folder, SPLITS[0]) + tasks(folder, SPLITS[1]), key=int):
            surrogate = Surrogate(folder, task)
            chunks = (configs[start : start + CHUNK] for start in range(0, CONFIGS, CHUNK))
            writer.writerow([task, f"{max(surrogate.accuracies(chunk).max() for chunk in chunks):.3f}"])
            file.flush()


def draw(distributions: dict[str, Number], count: int, random: np.random.Generator) -> np.ndarray:
    """Random configurations, one a row, in the order of `INPUTS`."""
    columns = []
    for name in INPUTS:
        distribution = distributions[name]
        low, high = (np.log(value) if distribution.log else value for value in (distribution.low, distribution.high))
        values = random.uniform(low, high, count)
        values = np.exp(values) if distribution.log else values
        columns.append(np.round(values) if isinstance(distribution, IntDistribution) else values)
    return np.stack(columns, axis=1)


if __name__ == "__main__":
    main()
