"""A database that fails for a moment, and one that fails for good."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from tests.helpers.searching import asked, groups, result, searcher


def test_a_storage_that_fails_for_a_moment_is_tried_again(study: optuna.Study, monkeypatch: Any) -> None:
    failures, report = iter(["gone"]), study._storage.set_trial_intermediate_value

    def flaky(*args: Any, **kwargs: Any) -> None:
        for message in failures:
            raise optuna.exceptions.StorageInternalError(message)
        report(*args, **kwargs)

    monkeypatch.setattr(study._storage, "set_trial_intermediate_value", flaky)
    s = searcher(study, patience_s=9)
    s.suggest("a")
    s.on_trial_complete("a", result("completed", (1, 0.4)))
    assert s.fault is None and study.trials[0].intermediate_values == {1: 0.4}
    assert study.trials[0].state == TrialState.COMPLETE and len(s.teller.listener.ended) == 1


def test_a_storage_that_fails_when_others_are_asked_for_ends_the_search_well(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = groups(study, size=2, wanted=4, rungs=(1,))
    failures = iter([True, False])
    trials = study.get_trials

    def flaky(**options: Any) -> Any:
        if next(failures, False):
            raise optuna.exceptions.StorageInternalError("no server")
        return trials(**options)

    monkeypatch.setattr(study, "get_trials", flaky)
    s.patience.seconds = 5
    assert len(asked(s, "a")) == 2 and s.fault is None  # tried again
    failures = iter([True] * 9)
    s.patience.seconds = 0
    assert s.suggest("b") == Searcher.FINISHED and isinstance(s.fault, optuna.exceptions.StorageInternalError)
