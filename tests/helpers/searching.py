"""A searcher with its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna

from hpo.search.asking import Asker
from hpo.search.grouping import GroupMaker
from hpo.search.patience import Patience
from hpo.search.searcher import StudySearcher
from hpo.search.telling import ReportListener, Teller
from hpo.trials.messages import GroupRequest, TrialReport, TrialRequest
from hpo.worker.trial import REQUEST


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
