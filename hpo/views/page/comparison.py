"""The page of several runs side by side: what each was, what it found and how fast."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.store.stored_run import StoredRun
from hpo.store.trust import consent
from hpo.system.files import write_atomically
from hpo.trials.metric import words
from hpo.trials.ranking import Ranked
from hpo.trials.records import TrialRecord
from hpo.views.formats import MISSING, accuracy, duration, hyperparameter, interval, number
from hpo.views.page import charts
from hpo.views.page.headline import Headline
from hpo.views.page.report import command, sample, trials_table
from hpo.views.page.sections import Section, drawn, places_of
from hpo.views.page.template import render_template

if TYPE_CHECKING:
    from hpo.trials.finalists import Finalist

_OF_ONE_RUN = ("name", "results_dir", "resume", "quiet", "dry_run")  # settings that say nothing of what was searched


@dataclass(frozen=True)
class Comparison:
    """Several runs, and all their trials in one ranking."""

    runs: Mapping[str, StoredRun]
    """By the name that a trial's id begins with: RUN/TRIAL."""
    ranked: Sequence[Ranked]
    finalists: Sequence[Finalist]
    """Best first; none where the runs have different test images."""

    @cached_property
    def by_id(self) -> dict[str, Ranked]:
        """The trials by their ids, RUN/TRIAL."""
        return {item.record.trial_id: item for item in self.ranked}

    def trials(self, name: str) -> list[Ranked]:
        """The trials of a run, in the order in which they finished."""
        return [self.by_id[f"{name}/{record.trial_id}"] for record in self.runs[name].records]

    @cached_property
    def best(self) -> dict[str, Ranked]:
        """The best trial of each run that has any."""
        found = {name: self.trials(name) for name in self.runs}
        return {name: min(trials, key=lambda item: item.rank) for name, trials in found.items() if trials}


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Writes the page, whole or not at all. Raises OSError."""
    write_atomically(path, render_comparison(comparison))


def render_comparison(comparison: Comparison) -> str:
    """The page, as HTML."""
    tested = ["Finals"] if comparison.finalists else []
    return render_template(
        "comparison",
        parts=["Runs", *tested, "", "Trials"],
        title=" / ".join(comparison.runs),
        headline=_headline(comparison),
        columns=_COLUMNS,
        rows=[_row(comparison, name) for name in comparison.runs],
        warning=_warning(list(comparison.runs.values())),
        differences=list(_differences(comparison.runs)),
        names=list(comparison.runs),
        finalists=comparison.finalists,
        sections=list(_sections(comparison)),
        provenance=[(f"command of {name}", command(run.spec)) for name, run in comparison.runs.items()],
        **trials_table(comparison.ranked, sample(comparison.ranked)),
    )


def _headline(comparison: Comparison) -> Headline | None:
    winner = comparison.ranked[0].record if comparison.ranked else None
    if winner is None or not winner.usable:
        return None
    name, trial = _parts(winner, comparison.runs)
    facts = [("configuration", ", ".join(f"{key} {hyperparameter(value)}" for key, value in winner.config.items()))]
    facts += [(f"best of {other}", _words_of(best)) for other, best in comparison.best.items()]
    tested = next((one for one in comparison.finalists if one.record.trial_id == winner.trial_id), None)
    metric = words(winner.metric)
    run, trust = shlex.quote(name), consent([winner.model])
    commands = (("class by class", f"hpo evaluate {run}{trust}"), ("the winner's run", f"hpo show {run}"))
    won = f"{trial} of {name} is the best of all"
    if tested is None:
        note = "not tested: the value of the best of many trials is a little too good"
        return Headline(won, f"validation {metric}", accuracy(winner.value), note, tuple(facts), commands)
    note = f"95 % interval {interval(tested.measured.low, tested.measured.high)}"
    return Headline(won, f"test {metric}", accuracy(tested.measured.mean), note, tuple(facts), commands)


def _words_of(item: Ranked) -> str:
    record = item.record
    return f"{record.trial_id}, rank {item.rank}: {accuracy(record.value)}, {number(record.parameters)} parameters"


def _parts(record: TrialRecord, names: Mapping[str, StoredRun]) -> tuple[str, str]:
    """The name of the run and of the trial in RUN/TRIAL."""
    name = max((name for name in names if record.trial_id.startswith(f"{name}/")), key=len)
    return name, record.trial_id.removeprefix(f"{name}/")


_COLUMNS = ("run", "architectures", "data", "trials", "epochs trained", "search time", "best validation", "best tested")


def _row(comparison: Comparison, name: str) -> list[str]:
    run, best = comparison.runs[name], comparison.best.get(name)
    tested = next((f for f in comparison.finalists if _parts(f.record, comparison.runs)[0] == name), None)
    took = sum(session.get("times", {}).get("elapsed_s", 0.0) for session in run.study["sessions"])
    measured = tested.measured if tested else None
    return [
        name,
        ", ".join(run.study["models"]),
        run.study["data"]["name"],
        number(len(run.records)),
        number(sum(record.epochs for record in run.records)),
        duration(took) if took else MISSING,
        accuracy(best.record.value if best else None),
        f"{accuracy(measured.mean)} ({interval(measured.low, measured.high)})" if measured else MISSING,
    ]


def _warning(runs: Sequence[StoredRun]) -> str:
    """What a reader must know of runs that used different images."""
    images = [run.study["data"]["hashes"] for run in runs]
    if all(hashes == images[0] for hashes in images):
        return ""
    return "The runs used different images: a difference between their values may be one of the images."


def _differences(runs: Mapping[str, StoredRun]) -> Iterator[tuple[str, list[str]]]:
    """Each setting in which the runs differ, with its values in their order."""
    specs = [run.spec for run in runs.values()]
    for key in dict.fromkeys(key for spec in specs for key in spec if key not in _OF_ONE_RUN):
        values = [_text(spec.get(key)) for spec in specs]
        if len(set(values)) > 1:
            yield f"--{key.replace('_', '-')}", values


def _text(value: Any) -> str:
    if value is None or value == []:
        return MISSING
    if value is True:
        return "yes"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _sections(comparison: Comparison) -> Iterator[Section]:
    if not any(item.record.usable for item in comparison.ranked):
        yield Section("Figures", "No trial has a validation score: there is nothing to draw.")
        return
    records = {name: [item.record for item in comparison.trials(name)] for name in comparison.best}
    places = {name: places_of(comparison.runs[name]) for name in records}
    note = "The lines are the best validation values so far."
    both = [partial(charts.histories, records, places, by_time=by_time) for by_time in (False, True)]
    yield drawn("Best so far", note, both)
    # The figures group trials by architecture; here the runs are what is compared.
    by_run = [
        replace(item, record=replace(item.record, model=_parts(item.record, comparison.runs)[0]))
        for item in sample(comparison.ranked)
    ]
    metric = words(comparison.ranked[0].record.metric)
    yield drawn(f"{metric.capitalize()}, parameters and time", "", [lambda: charts.pareto(by_run)])
    yield drawn("Learning curves", "Trials that were stopped early are dimmed.", [lambda: charts.curves(by_run)])
