from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.benchmarks import race
from tests.benchmarks.by_hand import RECIPES, table
from tests.benchmarks.race import Search

CURVES = {"podium": ((5.0, 0.97), (20.0, 0.99)), "ray": ((10.0, 0.9), (60.0, 0.97)), "optuna": ((15.0, 0.98),)}
SEARCHES = [Search(side, seed, curve, {}) for side, curve in CURVES.items() for seed in range(3)]


def test_the_race_says_when_each_had_what_the_peers_found() -> None:
    rows = {(row.case.split(",")[0], row.side, row.measure): row.median for row in race._found(SEARCHES, 100)}
    assert rows["until 0.9700", "podium", "seconds"] == 5
    assert rows["until 0.9700", "plain Ray Tune", "seconds"] == 60
    assert rows["until 0.9700", "podium", "times faster than plain Ray Tune"] == 12
    assert rows["until 0.9800", "plain Ray Tune", "seconds"] == 100  # never: the whole time
    assert rows["until 0.9800", "podium", "times faster than plain Optuna"] == pytest.approx(15 / 20)
    assert rows["cnn", "podium", "best validation accuracy"] == 0.99


def test_the_curves_are_written_and_drawn(tmp_path: Path) -> None:
    race._write(SEARCHES, tmp_path, 100)
    frame = pd.read_csv(tmp_path / "race.csv")
    assert list(frame.columns) == ["side", "seed", "seconds", "best"] and len(frame) == 15
    assert list(race._at(pd.Series([4, 5, 30]).to_numpy(), frame[:2])) == [0.0, 0.97, 0.99]
    assert (tmp_path / "race.png").read_bytes()[:4] == b"\x89PNG"


def test_searches_are_held_against_the_best_recipe() -> None:
    sides = {**dict(zip(RECIPES, (0.986, 0.988, 0.990), strict=True)), "search with seed 0": 0.989, "search 1": 0.993}
    frame = pd.DataFrame(
        [
            {"side": side, "seed": seed, "accuracy": mean + seed / 10_000}
            for side, mean in sides.items()
            for seed in (0, 2)
        ]
    )
    text = table(frame)
    assert "| search 1 | 0.9931 (0.9930-0.9932) | 2 |" in text
    assert "together: 0.9911, which is +0.0010 against the best recipe" in text and "1 of 2 are not below it" in text
