"""Configurations that fit, and that are not repeated."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.trial import TrialState
from ray.tune.search import Searcher

from hpo.store.database.study_db import open_storage
from tests.helpers.searching import asked, made, result, searcher


def test_what_does_not_fit_is_pruned_and_asked_for_again(study: optuna.Study) -> None:
    s = searcher(study, wanted=3, fits=lambda params: params["lr"] < 0.005)
    for name in "abc":
        (request,) = asked(s, name)
        assert request.params["lr"] < 0.005
        s.on_trial_complete(name, result("completed", (1, 0.5), number=request.number))
    assert s.suggest("d") == Searcher.FINISHED and s.fault is None  # three were wanted, and three there were
    states = [t.state.name for t in study.trials]
    assert states.count("COMPLETE") == 3 and set(states) == {"COMPLETE", "PRUNED"}
    assert all(t.params["lr"] >= 0.005 for t in study.trials if t.state == TrialState.PRUNED)
    assert [trial_id for trial_id, _, _ in s.teller.listener.ended] == [
        f"cnn-{t.number:04d}" for t in study.trials if t.state == TrialState.COMPLETE
    ]


def test_where_nothing_fits_the_search_ends_with_a_reason(study: optuna.Study) -> None:
    s = searcher(study, fits=lambda _: False)
    assert s.suggest("a") == Searcher.FINISHED
    assert str(s.fault) == "100 configurations in a row have more parameters than --max-parameters allows"
    assert len(study.trials) == 100 and all(t.state.is_finished() for t in study.trials)


def test_a_resumed_study_does_not_repeat_its_configurations(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/study.db")
    lrs = []
    for _ in range(2):
        s = searcher(made(storage, 7))
        for name in "ab":
            (request,) = asked(s, name)
            lrs.append(request.params["lr"])
            s.on_trial_complete(name, result("completed", (1, 0.5), number=request.number))
    assert len(set(lrs)) == 4
