"""Searches against three recipes by hand: cnn, 10,000 images of MNIST, 9 epochs.

    PODIUM_DATA_DIR=... python -m tests.benchmarks.by_hand [--searches 5]

Each search has 20 trials. Its winner and the recipes are trained anew with 5 seeds, on training and validation images
(15,000), and tested. Writes results/reference/by-hand.csv, a row for each network, and prints the table by-hand.md.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hpo import StudySpec, run_study
from tests.benchmarks.trained_anew import EPOCHS, FIRST_SEED, TRAIN, test_accuracy

TRIALS, SEEDS = 20, 5
BASIS: dict[str, Any] = {"lr": 3e-3, "schedule": "one-cycle", "batch_size": 64}
RECIPES: dict[str, dict[str, Any]] = {
    "adam, one-cycle": {**BASIS, "optimizer": "adam"},
    "adamw, one-cycle, dropout, silu": {
        **BASIS,
        "optimizer": "adamw",
        "dropout": 0.4,
        "activation": "silu",
        "weight_decay": 5e-3,
    },
    "adam, one-cycle, rotate-crop, dropout, silu": {
        **BASIS,
        "optimizer": "adam",
        "augment": "rotate-crop",
        "dropout": 0.2,
        "activation": "silu",
    },
}
REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference"
DRAWS, CONFIDENCE = 10_000, 0.95


@dataclass(frozen=True)
class Tested:
    """A network on the test images."""

    side: str
    seed: int
    accuracy: float


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    data = Path(os.environ.get("PODIUM_DATA_DIR", "data"))
    rows: list[Tested] = []
    for side in (_recipes(data), _searches(data, options.searches)):
        for tested in side:
            rows.append(tested)
            print(f"{tested.side}, seed {tested.seed}: {tested.accuracy:.4f}", flush=True)
    frame = pd.DataFrame(rows)
    frame.to_csv(REFERENCE / "by-hand.csv", index=False, float_format="%.6g")
    (REFERENCE / "by-hand.md").write_text(table(frame))
    print(table(frame))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="by_hand.py", description="Searches against recipes by hand.")
    parser.add_argument("--searches", type=int, default=5)
    return parser.parse_args(arguments)


def table(frame: pd.DataFrame) -> str:
    """The mean of each side, and how much better the searches are than the best recipe."""
    means = frame.groupby("side", sort=False)["accuracy"].agg(["mean", "min", "max", "count"])
    lines = ["| side | test accuracy | networks |", "|---|---|---|"]
    lines += [
        f"| {side} | {row['mean']:.4f} ({row['min']:.4f}-{row['max']:.4f}) | {row['count']:.0f} |"
        for side, row in means.iterrows()
    ]
    best = means.loc[list(RECIPES), "mean"].idxmax()
    searches = [side for side in means.index if side not in RECIPES]
    found = frame[frame["side"].isin(searches)]["accuracy"].to_numpy()
    low, high = _interval(found, frame[frame["side"] == best]["accuracy"].to_numpy())
    above = sum(means.loc[side, "mean"] >= means.loc[best, "mean"] for side in searches)
    said = (
        f"The searches' winners together: {found.mean():.4f}, which is {found.mean() - means.loc[best, 'mean']:+.4f} "
        f"against the best recipe ({CONFIDENCE:.0%} interval {low:+.4f} to {high:+.4f}); {above} of {len(searches)} "
        "are not below it."
    )
    return "\n".join([*lines, "", said, ""])


def _interval(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Where the difference of the means lies, by a bootstrap over networks."""
    rng = np.random.default_rng(0)
    means = [rng.choice(side, (DRAWS, len(side))).mean(axis=1) for side in (ours, theirs)]
    low, high = np.quantile(means[0] - means[1], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _recipes(data: Path) -> Iterator[Tested]:
    for name, recipe in RECIPES.items():
        for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
            yield Tested(name, seed, test_accuracy(recipe, seed, data))


def _searches(data: Path, count: int) -> Iterator[Tested]:
    for seed in range(count):
        spec = StudySpec.of(
            model="cnn",
            dataset="mnist",
            data_dir=data,
            train_size=TRAIN,
            epochs=EPOCHS,
            trials=TRIALS,
            seed=seed,
            final_seeds=SEEDS,
            quiet=True,
            results_dir=Path(tempfile.mkdtemp()),
        )
        board = pd.read_csv(run_study(spec).folder / "leaderboard.csv")
        accuracies, seeds = (str(board[key][0]).split() for key in ("test_accuracies", "final_seeds"))
        for final_seed, accuracy in zip(seeds, accuracies, strict=True):
            yield Tested(f"search with seed {seed}", int(final_seed), float(accuracy))


if __name__ == "__main__":
    main()
