"""Compares searches on the tables of real trials.

    python -m tests.benchmarks.tables.compare --strategies podium,random,tpe,podium-portfolio:20 --trials 50 --seeds 10

Every search begins with the recipe, and trains one trial at a time. It tries configurations that are in the table:
where its sampler wants another one, it gets the nearest that was not tried yet. Prints the regret: how many points of
validation accuracy after the last epoch are missing to the best of the table. Prints too how well the accuracies on
each rung predict the last ones.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import optuna
from scipy.stats import spearmanr

from tests.benchmarks.lcbench.measures import CONFIDENCE, MAX_FACTOR, by_task, first_round
from tests.benchmarks.lcbench.runs import Run
from tests.benchmarks.tables.pool import Config
from tests.benchmarks.tables.portfolio import left_out
from tests.benchmarks.tables.speed import speed
from tests.benchmarks.tables.strategies import PORTFOLIOS, STRATEGIES, parse, run
from tests.benchmarks.tables.tables import FOLDER, MOMENTS, Table, load

# Strategy, table, trials, seed, and what is tried after the recipe.
Search = tuple[str, Table, int, int, list[Config]]


def regrets(tables: Sequence[Table], runs: Sequence[Run], trials: int) -> str:
    """A Markdown table: of each strategy the mean regret on each table, and the epochs that it trained."""
    names = list(dict.fromkeys(each.strategy for each in runs))
    optima = {table.name: 100 * float(table.by_epoch()[:, -1].max()) for table in tables}
    seeds = len({each.seed for each in runs})
    title = (
        f"Regret in points of validation accuracy after {trials} trials, and the epochs trained for it: means over "
        f"{seeds} seeds."
    )
    recipes = {table.name: optima[table.name] - 100 * float(table.by_epoch()[0, -1]) for table in tables}
    tasks = by_task(runs)
    rows = [[task, f"{recipes[task]:.2f}", *_cells(tasks[task], names, optima)] for task in tasks]
    rows.append(["**mean**", f"{np.mean([recipes[t] for t in tasks]):.2f}", *_cells(runs, names, optima)])
    return "\n".join([title, "", *_markdown(["table", "the recipe alone", *names], rows)])


def speeds(runs: Sequence[Run], trials: int) -> str:
    """A Markdown table: how long each strategy takes until it is as good as the first one."""
    sides = {name: [each for each in runs if each.strategy == name] for name in dict.fromkeys(r.strategy for r in runs)}
    reference = next(iter(sides))
    title = (
        f"Until the mean accuracy of {reference} after {trials} trials: times the epochs that it needs itself, "
        f"geometric mean over tables with a {CONFIDENCE:.0%} interval. never: on how many tables not within {trials} "
        f"trials of its own, or {MAX_FACTOR:g} times the epochs, which counts as {MAX_FACTOR:g} times."
    )
    rows = []
    for name, side in sides.items():
        result = speed(side, sides[reference])
        low, high = result.interval
        of = len(result.factors)
        cells = [f"{result.mean:.2f}", f"{low:.2f} to {high:.2f}", f"{result.slower} of {of}"]
        rows.append([name, *cells, f"{result.censored} of {of}"])
    header = ["strategy", "epochs", "interval", "slower", "never"]
    return "\n".join([title, "", *_markdown(header, rows)])


def correlations(tables: Sequence[Table]) -> str:
    """A Markdown table: the rank correlation of each rung with the last epoch."""
    title = "Rank correlation (Spearman) of the accuracy after so many epochs with the last one."
    each = np.array([[_correlation(table.curves[:, place], table) for place in range(-12, -1)] for table in tables])
    names = [*(table.name for table in tables), "**mean**"]
    rows = [[name, *(f"{value:.2f}" for value in row)] for name, row in zip(names, [*each, each.mean(0)], strict=True)]
    return "\n".join([title, "", *_markdown(["table", *MOMENTS[:-1]], rows)])


def _correlation(values: np.ndarray, table: Table) -> float:
    """Returns 0 where all values are equal: they tell nothing."""
    return float(spearmanr(values, table.curves[:, -1]).statistic) if np.ptp(values) else 0.0


def _cells(runs: Sequence[Run], names: Sequence[str], optima: Mapping[str, float]) -> Iterator[str]:
    for name in names:
        epochs, regret = first_round([each for each in runs if each.strategy == name], optima)
        yield f"{regret:.2f} ({epochs:.0f})"


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    return (f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows))


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    tables = load(options.tables)
    if few := [table.name for table in tables if len(table.configs) < options.trials]:
        raise SystemExit(f"compare.py: --trials {options.trials}: there are fewer configurations of {', '.join(few)}")
    searches = [
        (name, table, options.trials, seed, first)
        for table in tables
        for name in options.strategies
        for first in [_after_recipe(name, tables, table, options.trials)]
        for seed in range(options.seeds)
    ]
    runs = _run_all(searches, options.processes)
    parts = [regrets(tables, runs, options.trials), speeds(runs, options.trials), correlations(tables)]
    print("\n\n".join(parts))


def _after_recipe(label: str, tables: Sequence[Table], table: Table, trials: int) -> list[Config]:
    """The portfolio of a strategy that has one."""
    name, count = parse(label, trials)
    return left_out(tables, table, count, own=PORTFOLIOS[name]) if name in PORTFOLIOS else []


def _run_all(searches: Sequence[Search], processes: int) -> list[Run]:
    if processes == 1:
        return [_run_quietly(*search) for search in searches]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(_run_quietly, *zip(*searches, strict=True)))


def _run_quietly(name: str, table: Table, trials: int, seed: int, first: Sequence[Config]) -> Run:
    optuna.logging.set_verbosity(logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    return run(name, table, trials, seed, first)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="compare.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--strategies", type=_strategies, required=True, help=f"NAME or NAME:TRIALS of {', '.join(STRATEGIES)}"
    )
    parser.add_argument("--trials", type=_count, default=50)
    parser.add_argument("--seeds", type=_count, default=10)
    parser.add_argument("--processes", type=_count, default=1)
    parser.add_argument("--tables", type=Path, default=FOLDER, help="the folder of the packed file")
    return parser.parse_args(arguments)


def _strategies(text: str) -> list[str]:
    names = list(dict.fromkeys(text.split(",")))
    for name, _, trials in (label.partition(":") for label in names):
        if name not in STRATEGIES:
            raise argparse.ArgumentTypeError(f"{name}: unknown strategy; choose from {', '.join(STRATEGIES)}")
        if trials:
            _count(trials)
    return names


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number of at least 1")
    return int(text)


if __name__ == "__main__":
    main()
