"""What an architecture takes from the runs that --learn-from names; without any, from the built-in portfolio.

Only what a run's files say is read. An architecture MODULE:NAME of an earlier run is a name here, and is not imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hpo.search.samplers.experience import Source, learn, sources
from hpo.search.samplers.portfolio import portfolio
from hpo.spec.plan import ModelPlan
from hpo.spec.search import LEARN_NOTHING
from hpo.spec.spaces.stored import stored_first_configs, stored_guesses
from hpo.spec.study import StudySpec
from hpo.store.places import not_a_run, runs_in
from hpo.store.stored_run import StoredRun, read_run
from hpo.store.study_file import WAY_ON
from hpo.system.errors import UserError
from hpo.views.formats import plural

ALL = "all"


@dataclass(frozen=True)
class _Known:
    """What the earlier runs say, and what the user is told of it."""

    runs: int
    sources: list[Source]
    skipped: list[str]

    def notes(self) -> list[str]:
        if not self.sources:
            return [*self.skipped, "learns from: no run, since none has finished trials"]
        trials = sum(len(source.configs) for source in self.sources)
        names = ", ".join(dict.fromkeys(f"{source.model} on {source.dataset}" for source in self.sources))
        return [*self.skipped, f"learns from: {plural(self.runs, 'run')}, {plural(trials, 'trial')} ({names})"]


def with_lessons(
    models: tuple[ModelPlan, ...], spec: StudySpec, dataset: str
) -> tuple[tuple[ModelPlan, ...], list[str]]:
    """Returns the architectures with their first configurations and guesses, and notes about them.

    Raises UserError where --learn-from names no run, or one that has no finished trials.
    """
    if not spec.search.can_learn:
        return models, []
    if not spec.search.earlier_runs:
        return tuple(_with_portfolio(model, spec.search.trials) for model in models), []
    known = _read(spec.search.earlier_runs, spec.output.results_dir)
    taught = tuple(_taught(model, known.sources, dataset, spec.search.trials) for model in models)
    counts = ", ".join(
        f"{len(after.first_configs) - len(_own_first(before))} ({after.name})"
        for before, after in zip(models, taught, strict=True)
    )
    begins = [f"first trials: the recipe, then configurations of earlier runs: {counts}"] if known.sources else []
    return taught, [*known.notes(), *begins]


def with_lessons_it_began_with(
    models: tuple[ModelPlan, ...], stored: Mapping[str, Any], name: str | None
) -> tuple[ModelPlan, ...]:
    """Returns the architectures of a resumed run with what they took from earlier runs when it began: those may be gone
    by now, or have grown. Raises UserError where study.json is damaged."""
    begun = stored.get("models", {})
    try:
        return tuple(
            replace(
                model,
                guesses=stored_guesses(begun.get(model.name, {}).get("guesses", [])),
                first_configs=stored_first_configs(begun.get(model.name, {}).get("first_configs", []), model.space),
            )
            for model in models
        )
    except ValueError as error:
        raise UserError(f"--resume {name}: its study.json is damaged ({error}); {WAY_ON}") from error


def _with_portfolio(model: ModelPlan, trials: int) -> ModelPlan:
    return replace(model, first_configs=(*_own_first(model), *portfolio(model.name, model.space, trials)))


def _taught(model: ModelPlan, known: Iterable[Source], dataset: str, trials: int) -> ModelPlan:
    lessons = learn(known, model.name, dataset, model.space, trials)
    # The user's own guess weighs as much as all that earlier runs say.
    own = [replace(guess, weight=sum(other.weight for other in lessons.guesses) or 1.0) for guess in model.guesses]
    first_configs = (*_own_first(model), *lessons.first_configs)
    return replace(model, guesses=(*own, *lessons.guesses), first_configs=first_configs)


def _own_first(model: ModelPlan) -> tuple[dict[str, Any], ...]:
    """The first trials without earlier runs: the recipe, and the one with the user's guesses."""
    return model.first_configs or (dict(model.space.default),)


def _read(named: Sequence[str], results_dir: Path) -> _Known:
    """Reads the runs that are named, each once; with "all", all others in results_dir too, as far as they can be."""
    runs, skipped = {}, []
    for text in named:
        if text != ALL:
            run = _named(text, results_dir)
            runs[run.path.resolve()] = run
    for path in (results_dir / name for name in runs_in(results_dir)) if ALL in named else ():
        try:
            runs.setdefault(path.resolve(), read_run(path))
        except UserError as error:
            skipped.append(f"--learn-from all: leaves out {error}")
    found = {path: _sources(run) for path, run in runs.items()}
    return _Known(sum(map(bool, found.values())), [source for each in found.values() for source in each], skipped)


def _named(text: str, results_dir: Path) -> StoredRun:
    """The run that a folder or a name in results_dir stands for. Raises UserError where it is none, or says nothing."""
    places = (Path(text), results_dir / text)
    path = next((place for place in places if (place / "study.json").is_file()), None)
    if path is None:
        raise UserError(f"--learn-from {not_a_run(text, results_dir)}; give a run, {ALL} or {LEARN_NOTHING}")
    try:
        run = read_run(path)
    except UserError as error:
        raise UserError(f"--learn-from {error}") from error
    if not _sources(run):
        raise UserError(f"--learn-from {text}: has no finished trials")
    return run


def _sources(run: StoredRun) -> list[Source]:
    stopping = run.study.get("early_stopping")
    rungs = stopping.get("rungs") if isinstance(stopping, dict) else None
    return sources(run.records, rungs if isinstance(rungs, list) else ())
