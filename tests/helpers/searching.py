"""A searcher with its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from hpo.search.asking import Asker
from hpo.search.grouping import GroupMaker
from hpo.search.patience import Patience
from hpo.search.samplers.choice import seed_sampler
from hpo.search.searcher import StudySearcher
from hpo.search.telling import ReportListener, Teller
from hpo.store.database.study_db import open_study
from hpo.trials.messages import DONE, REPORTS, REQUEST, GroupRequest, TrialReport, TrialRequest
from tests.helpers.reports import report


class Deaf:
    """A listener that does nothing."""

    def started(self, request: TrialRequest) -> None: ...

    def reported(self, request: TrialRequest, report: TrialReport) -> None: ...

    def finished(self, request: TrialRequest, report: TrialReport) -> None: ...


def make_searcher(
    study: optuna.Study, space: Mapping[str, Any], wanted: int, listener: ReportListener | None = None, **options: Any
) -> StudySearcher:
    """options: of the searcher, of its `Asker` (fits, driver), `GroupMaker` (size, saved) and `Teller` (objective)."""
    patience = Patience(options.pop("patience_s", 0.0))
    asking = {key: options.pop(key) for key in ("fits", "driver") if key in options}
    grouping = {key: options.pop(key) for key in ("size", "saved") if key in options}
    objective = options.pop("objective", ("accuracy",))
    asker = Asker(study, space, wanted=wanted, patience=patience, **asking)
    teller = Teller(study, listener or Deaf(), objective, patience)
    return StudySearcher(GroupMaker(asker, **grouping), teller, **options)


def asked(searcher: StudySearcher, name: str) -> tuple[TrialRequest, ...]:
    """The trials that the searcher hands out."""
    request: GroupRequest = searcher.suggest(name)[REQUEST]
    return request.trials


SPACE: Any = {"lr": FloatDistribution(1e-4, 1e-1, log=True)}


class Log:
    """Writes down what it is told, and what Optuna knew of the trial at that moment."""

    def __init__(self, study: optuna.Study) -> None:
        self.study = study
        self.ended: list[tuple[str, str, TrialState]] = []
        self.reports: list[TrialReport] = []
        self.epochs: list[int] = []

    def started(self, request: TrialRequest) -> None: ...

    def reported(self, request: TrialRequest, report: TrialReport) -> None:
        self.epochs.append(report.epochs)

    def finished(self, request: TrialRequest, report: TrialReport) -> None:
        self.ended.append((request.trial_id, report.state, self.study.trials[request.number].state))
        self.reports.append(report)


def made(storage: Any, seed: int = 0) -> optuna.Study:
    opened = open_study(storage, "cnn", resume=True)
    seed_sampler(opened, "random", seed)
    return opened


def searcher(study: optuna.Study, wanted: int = 9, space: Any = SPACE, at_once: int = 2, **options: Any) -> Any:
    new = make_searcher(study, space, wanted, Log(study), **options)
    new.set_max_concurrency(at_once)
    return new


def gpus(s: StudySearcher, name: str) -> float:
    """The GPUs of what the searcher hands out."""
    request: GroupRequest = s.suggest(name)[REQUEST]
    return request.gpus


def result(state: str, *values: tuple[int, float], best: float | None = None, number: int = 0) -> dict[str, Any]:
    """Of one trial, by its number in the study."""
    return {REPORTS: [report(state, *values, best=best, trial_id=name_of(number))], DONE: state != "running"}


MIXED: Any = {
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "dropout": FloatDistribution(0.0, 0.6),
    "batch_size": CategoricalDistribution((32, 64, 128, 256)),
    "activation": CategoricalDistribution(("relu", "gelu", "tanh")),
}


def groups(study: optuna.Study, size: int = 4, wanted: int = 10, **options: Any) -> Any:
    return searcher(study, wanted, MIXED, at_once=9, size=size, **options)


def reports(*states: tuple[str, int, float], numbers: Sequence[int] | None = None) -> dict[str, Any]:
    """One for each trial: its state, and the one epoch with its value that is new. numbers: the trials'; 0, 1, ..."""
    each = [
        report(state, (at, value), epochs=at, trial_id=name_of(number))
        for number, (state, at, value) in zip(numbers or range(len(states)), states, strict=True)
    ]
    return {REPORTS: each, DONE: all(state != "running" for state, *_ in states)}


def name_of(number: int) -> str:
    """The id of a trial of the study that `made` opens."""
    return f"cnn-{number:04d}"
