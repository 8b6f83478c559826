"""What a study is told of each trial, and when."""

from __future__ import annotations

import math
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from hpo.search.samplers.choice import seed_sampler
from hpo.search.study_sync import restore
from hpo.store.database.study_db import open_storage, open_study
from hpo.trials.messages import REPORTS
from tests.helpers.records import record
from tests.helpers.reports import report
from tests.helpers.searching import SPACE, asked, result, searcher


def test_a_completed_trial_is_told_with_the_value_of_its_best_epoch(study: optuna.Study) -> None:
    s = searcher(study)
    assert asked(s, "a")[0].trial_id == "cnn-0000"
    s.on_trial_result("a", result("running", (1, 0.9)))
    s.on_trial_complete("a", result("completed", (2, 0.8), best=0.9))
    (trial,) = study.trials
    assert (trial.state, trial.value, trial.intermediate_values) == (TrialState.COMPLETE, 0.9, {1: 0.9, 2: 0.8})


def test_a_trial_that_tune_stopped_is_pruned_not_complete(study: optuna.Study) -> None:
    s = searcher(study)
    s.suggest("a")
    s.on_trial_complete("a", result("running", (1, 0.4)))
    (trial,) = study.trials
    assert (trial.state, trial.intermediate_values) == (TrialState.PRUNED, {1: 0.4})
    assert s.teller.listener.ended == [("cnn-0000", "stopped", TrialState.RUNNING)]


def test_a_diverged_trial_is_pruned_after_its_finite_reports(study: optuna.Study) -> None:
    s = searcher(study)
    s.suggest("a")
    s.on_trial_result("a", result("running", (1, 0.4)))
    s.on_trial_complete("a", result("diverged", (2, math.nan)))
    s.suggest("b")
    s.on_trial_complete("b", result("diverged", (1, math.inf), number=1))
    first, second = study.trials
    assert (first.state, first.intermediate_values) == (TrialState.PRUNED, {1: 0.4})
    assert (second.state, second.intermediate_values) == (TrialState.PRUNED, {})


def test_a_failed_trial_is_failed_and_a_lost_worker_too(study: optuna.Study) -> None:
    s = searcher(study)
    s.suggest("a")
    s.on_trial_complete("a", result("failed", (1, 0.4)))
    s.suggest("b")
    s.on_trial_complete("b", error=True)
    assert study.trials[1].state == TrialState.RUNNING  # the reason comes with fail()
    s.fail("b", "its worker was lost", 2)
    assert [t.state for t in study.trials] == [TrialState.FAIL, TrialState.FAIL]


def test_the_row_is_written_before_optuna_is_told(study: optuna.Study) -> None:
    s = searcher(study)
    s.suggest("a")
    s.on_trial_complete("a", result("completed", (1, 0.5)))
    assert s.teller.listener.ended == [("cnn-0000", "completed", TrialState.RUNNING)]
    assert study.trials[0].state == TrialState.COMPLETE


def test_a_result_handed_over_twice_counts_once(study: optuna.Study) -> None:
    s = searcher(study)
    s.suggest("a")
    for _ in range(2):
        s.on_trial_result("a", result("running", (1, 0.4)))
    s.on_trial_complete("a", result("running", (1, 0.4)))
    s.on_trial_complete("a", result("running", (1, 0.4)))
    assert s.fault is None and len(s.teller.listener.ended) == 1


def test_a_resumed_trial_that_hands_its_curve_over_again_makes_no_noise(
    study: optuna.Study, recwarn: pytest.WarningsRecorder
) -> None:
    s = searcher(study)
    s.suggest("a")
    s.on_trial_result("a", result("running", (1, 0.4), (2, 0.5)))
    s.release()
    other = searcher(study)
    other.suggest("b")
    other.on_trial_result("b", result("running", (1, 0.4), (2, 0.5), (3, 0.6)))
    assert study.trials[0].intermediate_values == {1: 0.4, 2: 0.5, 3: 0.6}
    assert not recwarn.list


def test_several_objectives_are_told_together(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/study.db")
    study = open_study(storage, "cnn", resume=False, directions=["maximize", "minimize"])
    seed_sampler(study, "nsgaii", 0)
    s = searcher(study, objective=("accuracy", "parameters"))
    for name, state in {"a": "completed", "b": "stopped", "c": "diverged"}.items():
        (request,) = asked(s, name)
        told = {REPORTS: [report(state, (1, 0.4), (2, 0.6), parameters=70, trial_id=request.trial_id)]}
        s.on_trial_result(name, told)
        s.on_trial_complete(name, told)
    assert s.fault is None
    assert [t.state.name for t in study.trials] == ["COMPLETE", "FAIL", "FAIL"]
    assert study.trials[0].values == [0.6, 70.0]
    made_again = open_study(storage, "again", resume=False, directions=["maximize", "minimize"])
    row = record(0, config={"lr": 0.01}, val_accuracy=0.6, parameters=7)
    restore(made_again, {"again-0000": row}, SPACE, ("accuracy", "parameters"))
    assert made_again.trials[0].values == [0.6, 7.0]
