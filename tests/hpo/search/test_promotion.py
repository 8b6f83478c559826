"""Trials that pause on a rung, against a real SQLite study."""

from __future__ import annotations

import time
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from hpo.trials.ladder import Ladder
from hpo.trials.messages import REPORTS
from tests.helpers.reports import report
from tests.helpers.searching import asked, searcher


def pausing(study: optuna.Study, wanted: int = 9, **options: Any) -> Any:
    return searcher(study, wanted, ladder=Ladder((1, 3), factor=3), **options)


def train(s: Any, name: str, *values: float, first: int = 1, state: str = "paused") -> None:
    """The trial that Tune calls `name` is handed out, trains these epochs, and pauses or ends."""
    (request,) = asked(s, name)
    epochs = first + len(values) - 1
    curve = enumerate(values, first)
    said = report(state, *curve, trial_id=request.trial_id, epochs=epochs, best=max(values))
    result = {REPORTS: [said], "done": True}
    s.on_trial_result(name, result)
    s.on_trial_complete(name, result)


def test_the_first_trial_is_trained_to_its_end_when_nothing_else_is_left(study: optuna.Study) -> None:
    s = pausing(study, wanted=3, at_once=1)
    train(s, "a", 0.1)
    train(s, "b", 0.5)
    train(s, "c", 0.6)
    train(s, "d", 0.7, 0.8, first=2)  # the best of three
    train(s, "d2", 0.9, first=4, state="completed")  # and of its rung
    (first,) = asked(s, "e")
    assert (first.number, first.pauses_at) == (0, ()) and s.suggest("f") is None


def test_paused_trials_cost_no_place_and_the_best_of_three_goes_on_first(study: optuna.Study) -> None:
    s = pausing(study, at_once=1)
    train(s, "a", 0.9, 0.91, 0.92, state="completed")
    train(s, "b", 0.5)
    assert s.live == {} and study.trials[1].state == TrialState.RUNNING and s.teller.listener.ended[1:] == []
    train(s, "c", 0.95)
    (again,) = asked(s, "d")
    assert (again.number, again.pauses_at) == (2, (3,)) and study.trials[2].intermediate_values == {1: 0.95}


def test_when_no_more_come_the_rest_is_stopped_where_it_stands(study: optuna.Study) -> None:
    s = pausing(study, wanted=4, at_once=1)
    train(s, "a", 0.5, state="completed")
    train(s, "b", 0.7)
    train(s, "c", 0.6)
    train(s, "d", 0.72, 0.8, first=2)  # b goes on to the second rung
    train(s, "e", 0.4)
    train(s, "e2", 0.81, 0.82, first=4, state="completed")  # b is the best there
    assert s.suggest("f") == Searcher.FINISHED and s.fault is None
    ended = [(trial_id, state) for trial_id, state, _ in s.teller.listener.ended]
    assert ended[0] == ("cnn-0000", "completed")
    assert sorted(ended[1:]) == [("cnn-0001", "completed"), ("cnn-0002", "stopped"), ("cnn-0003", "stopped")]
    assert [t.state.name for t in study.trials] == ["COMPLETE", "COMPLETE", "PRUNED", "PRUNED"]
    assert study.trials[1].intermediate_values == {1: 0.7, 2: 0.72, 3: 0.8, 4: 0.81, 5: 0.82}


def test_those_far_behind_end_at_once_but_for_the_first_trial(study: optuna.Study) -> None:
    s = pausing(study, wanted=9, at_once=1)
    s.promotions.ladder.factor = 99  # none goes on, and four wait
    for n in range(7):
        train(s, str(n), 0.1 + n / 10)  # each is better than all before
    assert [trial_id for trial_id, *_ in s.teller.listener.ended] == ["cnn-0001", "cnn-0002"]
    assert s.promotions.numbers() == {0, 3, 4, 5, 6}


def test_a_worker_that_is_free_takes_up_the_best_while_others_still_run(study: optuna.Study) -> None:
    s = pausing(study, wanted=3, at_once=3)
    train(s, "a", 0.3, state="completed")
    train(s, "b", 0.7)
    asked(s, "c")
    (again,) = asked(s, "d")
    assert (again.number, again.pauses_at) == (1, (3,))
    assert s.suggest("e") is None  # what runs may let another one go on


def test_an_interrupted_search_hands_paused_trials_back(study: optuna.Study) -> None:
    s = pausing(study, at_once=1)
    train(s, "a", 0.9, state="completed")
    train(s, "b", 0.5)
    s.release()
    assert [t.state.name for t in study.trials] == ["COMPLETE", "WAITING"]
    (again,) = asked(pausing(study), "a")
    assert (again.number, again.pauses_at) == (1, (1, 3))


def test_when_its_time_is_over_paused_trials_are_stopped(study: optuna.Study) -> None:
    s = pausing(study, at_once=1, deadline=time.time() + 60)
    train(s, "a", 0.9, state="completed")
    train(s, "b", 0.5)
    s.deadline = time.time() - 1
    assert s.suggest("c") == Searcher.FINISHED
    s.release()
    assert [state for _, state, _ in s.teller.listener.ended] == ["completed", "stopped"]
    assert [t.state.name for t in study.trials] == ["COMPLETE", "PRUNED"]


@pytest.mark.parametrize("paused", [False, True])
def test_tpe_takes_a_paused_trial_for_what_it_has_reached(study: optuna.Study, paused: bool) -> None:
    """Ten good trials lie at lr near 0.1; whether they wait on a rung or were stopped makes no difference."""
    study.sampler = optuna.samplers.TPESampler(seed=3, n_startup_trials=5)
    s = pausing(study, wanted=99, at_once=1)
    seen: list[dict[str, Any]] = []
    for n in range(20):
        (request,) = asked(s, str(n))
        seen.append(dict(request.params))
        value = request.params["lr"]
        state = "paused" if paused and n else "stopped"
        said = report(state, (1, value), trial_id=request.trial_id, epochs=1, best=value)
        s.promotions.ladder.factor = 10**6  # none goes on
        s.on_trial_complete(str(n), {REPORTS: [said], "done": True})
    assert sum(params["lr"] for params in seen[10:]) / 10 > 0.03
