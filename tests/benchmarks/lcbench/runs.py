"""What is kept of a search: when its best accuracy rose, and when each round of trials was over. A CSV holds many."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from tests.benchmarks.lcbench.simulator import History
from tests.benchmarks.lcbench.surrogate import DECIMALS

COLUMNS = ("workers", "trials", "task", "strategy", "seed", "epochs", "seconds", "accuracy", "rounds")


@dataclass(frozen=True, eq=False)
class Run:
    """One search. Its arrays have a place for each step: a new best accuracy, or the end of a round."""

    task: str
    strategy: str
    seed: int
    epochs: np.ndarray
    """How many epochs all its trials had trained."""
    seconds: np.ndarray
    accuracy: np.ndarray
    """The best one so far, in percent."""
    rounds: np.ndarray
    """How many rounds of trials were over."""

    @classmethod
    def of(cls, task: str, strategy: str, seed: int, history: History) -> Run:
        best, ends = np.array(history.best), np.array(history.ends)
        steps = np.union1d(np.flatnonzero(np.diff(best, prepend=-np.inf) > 0), ends - 1)
        rounds = np.searchsorted(ends, steps + 1, side="right")
        return cls(task, strategy, seed, steps + 1, np.array(history.seconds)[steps], best[steps], rounds)

    @property
    def key(self) -> tuple[str, str, int]:
        return self.task, self.strategy, self.seed

    @property
    def first_round(self) -> int:
        """The place of the first round's end."""
        return int(np.argmax(self.rounds >= 1))

    def axis(self, name: str) -> np.ndarray:
        """The steps' places on an axis, `epochs` or `seconds`."""
        return self.epochs if name == "epochs" else self.seconds

    def best_at(self, axis: str, position: float) -> float:
        """The best accuracy at a place on an axis, and of the whole search beyond its end; 0 before its first epoch."""
        place = int(np.searchsorted(self.axis(axis), position, side="right"))
        return float(self.accuracy[place - 1]) if place else 0.0

    def until(self, axis: str, accuracy: float) -> float:
        """Where on an axis an accuracy was reached; infinity where it never was."""
        reached = np.flatnonzero(self.accuracy >= accuracy)
        return float(self.axis(axis)[reached[0]]) if len(reached) else np.inf


def write(path: Path, workers: int, trials: int, runs: Iterable[Run]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for run in runs:
            steps = zip(run.epochs, run.seconds, run.accuracy, run.rounds, strict=True)
            for epochs, seconds, accuracy, rounds in steps:
                values = (epochs, f"{seconds:.2f}", f"{accuracy:.{DECIMALS}f}", rounds)
                writer.writerow((workers, trials, *run.key, *values))


def read(path: Path, workers: int, trials: int) -> list[Run]:
    """The runs in a file; none where it is missing."""
    if not path.exists():
        return []
    with path.open() as file:
        rows = list(csv.DictReader(file))
    if any((row["workers"], row["trials"]) != (str(workers), str(trials)) for row in rows):
        raise ValueError(f"--out {path}: holds searches with other --workers or --trials; use another file")
    groups = groupby(rows, lambda row: (row["task"], row["strategy"], int(row["seed"])))
    return [_run(key, list(steps)) for key, steps in groups]


def _run(key: tuple[str, str, int], steps: list[dict[str, str]]) -> Run:
    epochs, seconds, accuracy, rounds = (np.array([float(step[name]) for step in steps]) for name in COLUMNS[5:])
    return Run(*key, epochs.astype(int), seconds, accuracy, rounds.astype(int))
