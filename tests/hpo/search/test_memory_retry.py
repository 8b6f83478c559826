from __future__ import annotations

import optuna
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState
from ray.tune.search import Searcher

from hpo.search.memory_retry import larger_shares
from hpo.trials.messages import REQUEST
from tests.helpers.searching import asked, gpus, groups, reports


@given(st.integers(0, 9), st.sampled_from([0.0, 0.25, 0.4, 0.5, 0.75, 1.0, 2.0]))
def test_more_memory_is_more_of_a_gpu_or_fewer_trials_on_one(count: int, gpus: float) -> None:
    trials = list(range(count))
    groups = larger_shares(trials, gpus)
    if not groups:
        assert count == 0 or (count == 1 and not 0 < gpus < 1)
        return
    assert [trial for group, _ in groups for trial in group] == trials
    for group, share in groups:
        assert (group and share / len(group) > gpus / count) or gpus == 0
        assert share <= 1 or share == gpus


def test_what_is_freed_is_left_for_a_trial_that_needs_more(study: optuna.Study) -> None:
    s = groups(study, size=1, wanted=5, gpus=0.5)
    for name in "ab":
        s.worker_started(name)
    for name in "ab":
        s.suggest(name)
    s.on_trial_complete("a", reports(OOM))
    assert gpus(s, "c") == 1.0
    assert s.suggest("d") is None  # while b still has the other half
    s.worker_started("c")
    assert gpus(s, "d") == 0.5


OOM = ("out of memory", 1, 0.0)


def test_out_of_memory_is_tried_once_more_with_twice_the_share(study: optuna.Study) -> None:
    s = groups(study, size=1, wanted=1, gpus=0.25)
    first = s.suggest("a")[REQUEST]
    assert first.gpus == 0.25 and s.suggest("x") is None  # it may have to run again
    s.on_trial_complete("a", reports(OOM))
    assert study.trials[0].state == TrialState.RUNNING
    again = s.suggest("b")[REQUEST]
    assert again.gpus == 0.5 and again.trials == first.trials
    s.on_trial_complete("b", reports(("completed", 1, 0.7)))
    assert study.trials[0].value == 0.7 and s.suggest("c") == Searcher.FINISHED


def test_trials_with_memory_enough_are_not_run_again(study: optuna.Study) -> None:
    s = groups(study, size=1, wanted=3, gpus=0.5)
    for name in "abc":
        (request,) = asked(s, name)
        s.on_trial_complete(name, reports(("completed", 1, 0.7), numbers=[request.number]))
    assert s.suggest("d") == Searcher.FINISHED and len(study.trials) == 3


def test_its_row_says_so(study: optuna.Study) -> None:
    s = groups(study, size=1, wanted=2, gpus=0.5)
    for name, states in (("a", OOM), ("b", ("completed", 1, 0.7)), ("c", OOM), ("d", OOM)):
        (request,) = asked(s, name)
        s.on_trial_complete(name, reports(states, numbers=[request.number]))
    assert [(r.state, r.retries) for r in s.teller.listener.reports] == [("completed", 1), ("failed", 1)]
    assert all(r.error.startswith("out of memory on 0.5 GPUs, run again on 1 GPU") for r in s.teller.listener.reports)
    assert [t.state for t in study.trials] == [TrialState.COMPLETE, TrialState.FAIL]
    assert s.suggest("e") == Searcher.FINISHED


def test_an_array_that_runs_out_of_memory_is_halved(study: optuna.Study) -> None:
    s = groups(study, size=4, wanted=4, gpus=1.0)
    s.suggest("a")
    s.on_trial_result("a", reports(("running", 1, 0.5), ("stopped", 1, 0.2), ("running", 1, 0.5), ("running", 1, 0.5)))
    s.on_trial_complete("a", reports(OOM, ("stopped", 1, 0.2), OOM, OOM))
    halves = [asked(s, name) for name in "bc"]
    assert [[lane.number for lane in half] for half in halves] == [[0, 2], [3]]
    s.on_trial_complete("b", reports(("completed", 1, 0.7), ("completed", 1, 0.8), numbers=(0, 2)))
    s.on_trial_complete("c", reports(OOM, numbers=[3]))
    assert [t.state.name for t in study.trials] == ["COMPLETE", "PRUNED", "COMPLETE", "FAIL"]
    assert s.suggest("d") == Searcher.FINISHED
