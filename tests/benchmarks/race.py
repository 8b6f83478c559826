"""The race: Podium, plain Ray Tune and plain Optuna search for the same seconds, and the winners are tested.

Writes race.csv, with what each side had found at each moment, and race.png beside it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from tests.benchmarks import splits
from tests.benchmarks.job import NAMES
from tests.benchmarks.table import Row, row
from tests.benchmarks.trained_anew import EPOCHS, FIRST_SEED, TRAIN, test_accuracy

SCRIPT = Path(__file__).with_name("peers") / "race.py"
SECONDS, FINAL_SEEDS = 240, 3
CASE = f"cnn, MNIST, {TRAIN:,} images, {EPOCHS} epochs"
# What the peers' training loop has besides what they search.
OF_PEERS = {"optimizer": "adam", "weight_decay": 1e-6}


@dataclass(frozen=True)
class Search:
    """One side's search with one seed."""

    side: str
    seed: int
    curve: tuple[tuple[float, float], ...]
    """(Seconds since its process began, best validation accuracy so far)."""
    config: Mapping[str, Any]

    @property
    def best(self) -> float:
        """The best validation accuracy."""
        return self.curve[-1][1]

    def until(self, accuracy: float, limit: float) -> float:
        """The seconds until it had an accuracy, `limit` if it never had."""
        return next((second for second, value in self.curve if value >= accuracy), limit)


def measure(data: Path, folder: Path, repetitions: int, quick: bool, say: Callable[[str], None]) -> Iterator[Row]:
    """Runs the race, the sides in turn, and writes its curves into the folder."""
    seconds = 30 if quick else SECONDS
    searches = _searched(data, repetitions, seconds, quick, say)
    _write(searches, folder, seconds)
    yield from _found(searches, seconds)
    if not quick:
        yield from _tested(searches, data, say)


def _searched(data: Path, repetitions: int, seconds: int, quick: bool, say: Callable[[str], None]) -> list[Search]:
    searches = []
    with TemporaryDirectory() as folder:
        places = splits.save(data, Path(folder) / "splits.npz", TRAIN)
        for seed in range(repetitions):
            sides = list(NAMES)[seed % len(NAMES) :] + list(NAMES)[: seed % len(NAMES)]
            for side in sides:
                searches.append(_search(side, seed, data, places, ["--seconds", str(seconds), *["--quick"] * quick]))
                say(f"{side}, seed {seed}: best {searches[-1].best:.4f}")
    return searches


def _search(side: str, seed: int, data: Path, places: Path, flags: Sequence[str]) -> Search:
    command = [sys.executable, str(SCRIPT), side, str(data), str(places), "--seed", str(seed), *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{side}: {done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return Search(side, seed, tuple(map(tuple, found["curve"])), found["config"])


def _found(searches: Sequence[Search], seconds: int) -> Iterator[Row]:
    """What each side found in the end, and how long each took to what the peers had found."""
    sides = {side: [search for search in searches if search.side == side] for side in NAMES}
    for side, own in sides.items():
        yield row("race", CASE, NAMES[side], "best validation accuracy", [search.best for search in own])
    for peer in ("ray", "optuna"):
        goal = float(np.median([search.best for search in sides[peer]]))
        case = f"until {goal:.4f}, the median best of {NAMES[peer]} after {seconds} s"
        for side, own in sides.items():
            yield row("race", case, NAMES[side], "seconds", [search.until(goal, seconds) for search in own])
        ours = float(np.median([search.until(goal, seconds) for search in sides["podium"]]))
        theirs = [search.until(goal, seconds) for search in sides[peer]]
        yield row("race", case, "podium", f"times faster than {NAMES[peer]}", [spent / ours for spent in theirs])


def _tested(searches: Sequence[Search], data: Path, say: Callable[[str], None]) -> Iterator[Row]:
    """The test accuracies of the winners, trained anew on training and validation images, the mean of their seeds."""
    seeds = range(FIRST_SEED, FIRST_SEED + FINAL_SEEDS)
    networks = [(_whole(search), seed) for search in searches for seed in seeds]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:  # each trains on one thread
        accuracies = list(pool.map(test_accuracy, *zip(*networks, strict=True), repeat(data)))
    means = np.reshape(accuracies, (len(searches), FINAL_SEEDS)).mean(axis=1)
    for side in NAMES:
        of_side = [float(mean) for search, mean in zip(searches, means, strict=True) if search.side == side]
        say(f"{side}: test {np.median(of_side):.4f}")
        yield row("race", CASE, NAMES[side], "test accuracy", of_side)


def _whole(search: Search) -> dict[str, Any]:
    """The winner's configuration, with what the peers' training loop has besides."""
    return {**({} if search.side == "podium" else OF_PEERS), **search.config}


def _write(searches: Sequence[Search], folder: Path, seconds: int) -> None:
    frame = pd.DataFrame(
        [
            {"side": NAMES[search.side], "seed": search.seed, "seconds": second, "best": value}
            for search in searches
            for second, value in search.curve
        ]
    )
    frame.to_csv(folder / "race.csv", index=False, float_format="%.6g")
    draw(frame, folder / "race.png", seconds)


def draw(frame: pd.DataFrame, path: Path, seconds: int) -> None:
    """The best accuracy over time: the median of the seeds, and where the others lie."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    times = np.arange(5, seconds + 1)
    for side, rows in frame.groupby("side", sort=False):
        curves = np.array([_at(times, of_seed) for _, of_seed in rows.groupby("seed")])
        (line,) = axes.plot(times, np.median(curves, axis=0), label=side)
        axes.fill_between(times, curves.min(axis=0), curves.max(axis=0), alpha=0.2, color=line.get_color())
    axes.set_ylim(0.95, 1.0)
    axes.set_xlabel("seconds since the process began")
    axes.set_ylabel("best validation accuracy so far")
    axes.set_title(CASE)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def _at(times: np.ndarray, curve: pd.DataFrame) -> np.ndarray:
    """The best accuracy at each time, 0 before the first epoch is over."""
    places = np.searchsorted(curve["seconds"].to_numpy(), times, side="right")
    return np.concatenate([[0.0], curve["best"].to_numpy()])[places]
