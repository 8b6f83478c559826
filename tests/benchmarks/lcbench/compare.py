"""Compares search strategies on LCBench in simulated time.

    PODIUM_DATA_DIR=... python -m tests.benchmarks.lcbench.compare --strategies tpe-asha,podium --out x.csv

Prints how good each strategy is, and how many epochs and seconds it needs to be as good as each reference is after its
first --trials trials. A search that is not as good by then goes on with as many trials again, up to --rounds times.
--out keeps the searches; those that it holds are not run again. Choose and tune on the development tasks only.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.benchmarks.lcbench.report import tables
from tests.benchmarks.lcbench.runs import Run, read, write
from tests.benchmarks.lcbench.strategies import NAMES, REFERENCES
from tests.benchmarks.lcbench.surrogate import SPLITS, Surrogate, data_folder, optima, space, tasks
from tests.benchmarks.lcbench.task_runs import Settings, TaskRuns


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    folder = data_folder()
    settings = _settings(options)
    try:
        known = read(options.out, settings.workers, settings.trials)
    except ValueError as error:
        sys.exit(f"compare.py: {error}")
    chosen = tasks(folder, options.split)[: options.tasks]
    runs = {run.key: run for run in known}
    for new in _run_all(settings, folder, chosen, known, options.processes):
        runs |= {run.key: run for run in new}
        write(options.out, settings.workers, settings.trials, runs.values())
        print(f"{len(runs)} searches", file=sys.stderr, flush=True)
    keys = [(task, name, seed) for task in chosen for name in settings.strategies for seed in range(settings.seeds)]
    print(tables([runs[key] for key in keys], settings.trials, optima(), settings.references))


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(options.strategies, options.seeds, options.workers, options.trials, options.rounds, options.against)


def _run_all(
    settings: Settings, folder: Path, chosen: Sequence[str], known: Sequence[Run], processes: int
) -> Iterator[list[Run]]:
    """The new searches of each task, as each is done."""
    jobs = [(settings, folder, task, [run for run in known if run.task == task]) for task in chosen]
    if processes == 1:
        yield from (_run_task(*job) for job in jobs)
        return
    with ProcessPoolExecutor(processes) as pool:
        for future in as_completed([pool.submit(_run_task, *job) for job in jobs]):
            yield future.result()


def _run_task(settings: Settings, folder: Path, task: str, known: Sequence[Run]) -> list[Run]:
    return TaskRuns(settings, task, space(folder), Surrogate(folder, task).curve, known).new()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="compare.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--split", choices=SPLITS, default=SPLITS[0], help="report: for the final report only")
    parser.add_argument("--strategies", type=_strategies, required=True, help=", ".join(NAMES))
    against = "which of them the others are measured by (default: all that are none of Podium's)"
    parser.add_argument("--against", type=_strategies, default=REFERENCES, help=against)
    parser.add_argument("--seeds", type=_count, default=5)
    parser.add_argument("--workers", type=_count, default=1, help="trials at a time, in simulated time")
    parser.add_argument("--trials", type=_count, default=50, help="of a round")
    parser.add_argument("--rounds", type=_count, default=4, help="how many a search has at most")
    parser.add_argument("--tasks", type=_count, help="only so many tasks")
    parser.add_argument("--processes", type=_count, default=1)
    parser.add_argument("--out", type=Path, required=True, help="a CSV with what each search found, and when")
    return parser.parse_args(arguments)


def _strategies(text: str) -> list[str]:
    names = list(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in NAMES:
            raise argparse.ArgumentTypeError(f"{name}: unknown strategy; choose from {', '.join(NAMES)}")
    return names


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number of at least 1")
    return int(text)


if __name__ == "__main__":
    main()
