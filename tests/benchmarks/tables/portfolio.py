"""Makes Podium's built-in portfolio of the tables: for each architecture the configurations that are good everywhere.

    python -m tests.benchmarks.tables.portfolio

A configuration counts by its rank on each data set, so that accuracies of different data sets compare. A single
accuracy is luck in part: what counts is what a forest expects that has not seen this configuration.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata
from sklearn.ensemble import ExtraTreesRegressor

from hpo.search.samplers.encoding import Encoding
from hpo.search.samplers.experience import GOOD
from hpo.search.samplers.portfolio import FILE, after_recipe
from tests.benchmarks.tables.pool import Config
from tests.benchmarks.tables.tables import FOLDER, Table, load

TREES, LEAF = 500, 2
DIGITS = 3  # significant ones of a number in the file


def best(tables: Iterable[Table]) -> list[Config]:
    """Returns the best configurations over all these tables, the best first. tables: of one architecture."""
    return list(_best(tuple(tables)))


@cache  # several strategies and tables ask for the same ones
def _best(tables: tuple[Table, ...]) -> list[Config]:
    count = min(len(table.configs) for table in tables)
    ranks = [rankdata(table.curves[:count, -1]) for table in tables]
    scores = np.mean([norm.ppf((each - 0.5) / count) for each in ranks], axis=0)
    features = _features(tables[0])[:count]
    forest = ExtraTreesRegressor(TREES, min_samples_leaf=LEAF, bootstrap=True, oob_score=True, random_state=0)
    expected = forest.fit(features, scores).oob_prediction_
    return [tables[0].configs[number] for number in np.argsort(-expected)[:GOOD]]


def left_out(tables: Sequence[Table], table: Table, trials: int, *, own: bool) -> list[Config]:
    """Returns what a search of this table tries after the recipe, if nothing was known of its data set.

    own: whether the other data sets' tables of its architecture are used, else those of the other architectures.
    """
    others = (other for other in tables if other.dataset != table.dataset)
    known = _by_architecture(other for other in others if (other.architecture == table.architecture) is own)
    return list(after_recipe([best(each) for each in known.values()], table.space, trials))


def _by_architecture(tables: Iterable[Table]) -> dict[str, list[Table]]:
    found: dict[str, list[Table]] = {}
    for table in tables:
        found.setdefault(table.architecture, []).append(table)
    return found


def _features(table: Table) -> NDArray[np.float64]:
    """Returns (N, F): a column for each number, and one for each value of a choice."""
    encoding = Encoding(table.space.searched)
    points = encoding.points(table.configs)
    columns: list[NDArray[np.float64]] = []
    for place, is_choice in enumerate(encoding.is_choice):
        column = points[:, place]
        columns += [(column == value).astype(float) for value in np.unique(column)] if is_choice else [column]
    return np.stack(columns, axis=1)


def _rounded(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    found = {
        name: [{key: _rounded(value) for key, value in config.items()} for config in best(tables)]
        for name, tables in _by_architecture(load(options.tables)).items()
    }
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{options.out}: {', '.join(found)}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="portfolio.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=Path, default=FOLDER, help="the folder of the packed file")
    parser.add_argument("--out", type=Path, default=FILE)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
