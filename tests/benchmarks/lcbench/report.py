"""The tables of a comparison, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tests.benchmarks.lcbench.measures import CONFIDENCE, MAX_FACTOR, by_task, first_round, regret_at, speed
from tests.benchmarks.lcbench.runs import Run

GRID = (3, 6, 10, 15)  # epochs for each trial of the first round, at which the regret is shown


def tables(runs: Sequence[Run], trials: int, optima: Mapping[str, float], references: Sequence[str]) -> str:
    """The regret of each strategy, and its speed against each reference among them."""
    names = dict.fromkeys(run.strategy for run in runs)
    sides = {name: [run for run in runs if run.strategy == name] for name in names}
    parts = [_regrets(sides, trials, optima)]
    parts += [_speeds(sides, name, trials) for name in names if name in references]
    return "\n\n".join(parts)


def _regrets(sides: Mapping[str, Sequence[Run]], trials: int, optima: Mapping[str, float]) -> str:
    grid = [trials * epochs for epochs in GRID]
    first = next(iter(sides.values()))
    tasks, seeds = len(by_task(first)), len({run.seed for run in first})
    title = f"Regret in points of validation accuracy, mean over {tasks} tasks and {seeds} seeds."
    header = ["strategy", *(f"{epochs} epochs" for epochs in grid), f"{trials} trials", f"epochs of {trials} trials"]
    rows = []
    for name, runs in sides.items():
        epochs, regret = first_round(runs, optima)
        curve = [f"{regret_at(runs, optima, place):.2f}" for place in grid]
        rows.append([name, *curve, f"{regret:.2f}", f"{epochs:.0f}"])
    return "\n".join([title, "", *_markdown(header, rows)])


def _speeds(sides: Mapping[str, Sequence[Run]], reference: str, trials: int) -> str:
    """How long each strategy takes until it has the reference's accuracy."""
    title = (
        f"Until the accuracy of {reference} after {trials} trials: times the epochs and seconds that it needs itself, "
        f"geometric mean with a {CONFIDENCE:.0%} interval. never: on how many tasks not within {MAX_FACTOR:g} times or "
        f"its own rounds, which counts as {MAX_FACTOR:g} times."
    )
    header = ["strategy", "epochs", "interval", "slower", "never", "seconds", "interval", "slower", "never"]
    rows = []
    for name, runs in sides.items():
        cells = [name]
        for axis in ("epochs", "seconds"):
            result = speed(runs, sides[reference], axis)
            low, high = result.interval
            cells += [f"{result.mean:.2f}", f"{low:.2f} to {high:.2f}"]
            cells += [f"{count} of {len(result.factors)}" for count in (result.slower, result.censored)]
        rows.append(cells)
    return "\n".join([title, "", *_markdown(header, rows)])


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    return (f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows))
