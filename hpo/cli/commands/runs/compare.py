"""`hpo compare`: the trials of several runs in one ranking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hpo.cli.command import run_command
from hpo.spec.checks import at_least
from hpo.spec.settings import MANY, SWITCH
from hpo.store.csv_tables import trials_frame
from hpo.store.places import find
from hpo.store.stored_run import StoredRun, check_comparable, read_run
from hpo.system.errors import UserError
from hpo.system.files import check_output, write_atomically
from hpo.system.terminal import console
from hpo.system.text import say
from hpo.trials.metric import ACCURACY
from hpo.trials.ranking import RankBy, Ranked, rank
from hpo.views.formats import plural
from hpo.views.tables import best_table, finals_table, shared_line

if TYPE_CHECKING:
    from hpo.trials.finalists import Finalist


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class CompareSpec:
    """How runs are compared."""

    rank_by: Annotated[tuple[str, ...], MANY] = ()
    """The criteria, most important first, or weights such as accuracy=1 time=0.2. The first one of them is the metric
    of the runs; runs of different metrics are compared by accuracy. [default: the metric, parameters, time]"""
    top: int = 10
    """Number of trials to show."""
    mixed: Annotated[bool, SWITCH] = False
    """Allows runs of different data sets or splits."""
    out: Path | None = None
    """Writes the whole ranking to this file, NAME.csv, or a page with figures, NAME.html."""

    def __post_init__(self) -> None:
        at_least("--top", self.top, 1)
        if self.out:
            check_output("--out", self.out, ".csv", ".html")


def main(argv: Sequence[str]) -> int:
    """Runs `hpo compare ...`; returns its exit code."""
    return run_command("compare", _compare, argv)


def _compare(*runs: Path, spec: Annotated[CompareSpec, Parameter(name="*")] = CompareSpec()) -> None:
    """Ranks the trials of several runs together, and their finalists in one leaderboard.

    Parameters
    ----------
    runs
        Two or more runs: NAME, or their folders. Of results/*, what is not a run is left out.
    """
    stored = [read_run(path) for path in runs if _is_run(path)]
    if len(stored) < 2:
        raise UserError(f"{plural(len(stored), 'run')} to compare: give two or more, as NAME or results/NAME")
    if not spec.mixed:
        check_comparable(stored)
    names = _names(stored)
    # Trial ids are unique within one run only.
    records = [
        replace(record, trial_id=f"{name}/{record.trial_id}")
        for name, run in zip(names, stored, strict=True)
        for record in run.records
    ]
    metric = _common_metric(stored)
    if any(record.metric != metric for record in records):
        say("note: the runs have different metrics; they are compared by accuracy")
        records = [replace(record, metric=metric) for record in records]
    ranked = rank(records, RankBy.of(spec.rank_by, metric=metric))
    finalists = _finalists(stored)
    _show(ranked, spec.top, stored, finalists)
    if spec.out:
        _write(spec.out, dict(zip(names, stored, strict=True)), ranked, finalists)


def _write(path: Path, runs: dict[str, StoredRun], ranked: list[Ranked], finalists: Sequence[Finalist]) -> None:
    if path.suffix.lower() == ".csv":
        write_atomically(path, trials_frame(ranked).to_csv(index=False))
        print(f"The whole ranking is in {path}")
        return
    from hpo.views.page.comparison import Comparison, write_comparison

    write_comparison(Comparison(runs, ranked, finalists), path)
    print(f"The page with figures is {path}")


def _is_run(path: Path) -> bool:
    """Whether it is a run, or nothing at all, which is a mistake; says so of anything else."""
    place = find(path)
    is_run = not place.exists() or (place / "study.json").exists()
    if not is_run:
        say(f"note: {path} is not a run folder; left out")
    return is_run


def _common_metric(runs: Sequence[StoredRun]) -> str:
    """The metric of all runs, otherwise the accuracy, which every trial has."""
    metrics = {record.metric for run in runs for record in run.records}
    return metrics.pop() if len(metrics) == 1 else ACCURACY


def _names(runs: Sequence[StoredRun]) -> list[str]:
    """The names of the folders, or their paths when two names are equal."""
    names = [run.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]


def _show(ranked: list[Ranked], top: int, runs: Sequence[StoredRun], finalists: Sequence[Finalist]) -> None:
    sizes = ", ".join(f"{run.name} ({plural(len(run.records), 'trial')}, {run.study['data']['name']})" for run in runs)
    say(f"{plural(len(ranked), 'trial')} of {sizes}")
    terminal = console()
    terminal.print(best_table(ranked, terminal, top))
    if common := shared_line([item.record for item in ranked]):
        say(common)
    if finalists:
        print("Finals")
        console().print(finals_table(finalists))


def _finalists(runs: Sequence[StoredRun]) -> list[Finalist]:
    """The finalists of all runs, best first; none when the runs have different test images."""
    from hpo.trials.finalists import order

    if len({run.study["data"]["hashes"]["test"] for run in runs}) > 1:
        return []
    metric = _common_metric(runs)
    return order(
        [
            replace(
                finalist,
                record=replace(finalist.record, trial_id=f"{name}/{finalist.record.trial_id}", metric=metric),
                scores=finalist.scores if metric != ACCURACY else None,
            )
            for name, run in zip(_names(runs), runs, strict=True)
            for finalist in run.finalists()
        ]
    )
