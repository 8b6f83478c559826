"""Each trap between Optuna and Tune, against a real SQLite study."""

from __future__ import annotations

import math
import pickle
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState
from ray.tune.search import Searcher

from hpo.search.grouping import shape_of
from hpo.search.searcher import StudySearcher
from hpo.search.study_sync import reconcile, restore, tell
from hpo.store.study_db import check_unused, make_sampler, open_storage, open_study, seed_sampler
from hpo.system.urls import masked
from hpo.trials.messages import GroupRequest, TrialReport, TrialRequest
from hpo.trials.records import TrialState as TrialRecordState
from hpo.worker.trial import REPORTS, REQUEST
from tests.helpers.reports import report
from tests.helpers.searching import asked, make_searcher

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


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    return made(open_storage(f"sqlite:///{tmp_path}/study.db"))


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


def result(state: str, *values: tuple[int, float], best: float | None = None) -> dict[str, Any]:
    return {REPORTS: [report(state, *values, best=best)], "done": state != "running"}


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
    s.on_trial_complete("b", result("diverged", (1, math.inf)))
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


def test_no_more_run_at_once_and_no_more_are_asked_than_wanted(study: optuna.Study) -> None:
    s = searcher(study, wanted=3)
    assert s.suggest("a") and s.suggest("b")
    assert s.suggest("c") is None
    s.on_trial_complete("a", result("completed", (1, 0.5)))
    assert s.suggest("c")
    s.on_trial_complete("b", result("completed", (1, 0.5)))
    assert s.suggest("d") == Searcher.FINISHED
    assert len(study.trials) == 3


def test_after_the_deadline_none_is_asked(study: optuna.Study) -> None:
    assert searcher(study, deadline=time.time() - 1).suggest("a") == Searcher.FINISHED
    assert study.trials == []


def test_trials_cut_short_wait_and_are_handed_out_again_as_themselves(study: optuna.Study) -> None:
    s = searcher(study)
    lanes = [asked(s, name)[0] for name in "ab"]
    s.on_trial_result("a", result("running", (1, 0.4)))
    s.release()
    assert [t.state for t in study.trials] == [TrialState.WAITING] * 2
    again = [asked(searcher(study), name)[0] for name in "ab"]
    assert [(a.number, a.params) for a in again] == [(b.number, b.params) for b in lanes]
    assert study.trials[0].intermediate_values == {1: 0.4}


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


def test_after_a_kill_the_study_is_made_to_agree_with_the_journal(study: optuna.Study) -> None:
    s = searcher(study)
    s.set_max_concurrency(4)
    for name in "abcd":
        s.suggest(name)
    tell(study, 0, TrialRecordState.COMPLETED, 0.5)
    ended = {"cnn-0000": ("completed", 0.5), "cnn-0001": ("completed", 0.7), "cnn-0002": ("stopped", 0.1)}
    reconcile(study, {name: (TrialRecordState(state), value) for name, (state, value) in ended.items()})
    states = [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.WAITING]
    assert [t.state for t in study.trials] == states and study.best_value == 0.7


def test_a_study_that_is_behind_its_journal_gives_no_number_twice(study: optuna.Study) -> None:
    def row(state: str, lr: float) -> Any:
        curve = [{"epoch": 1, "val_accuracy": 0.5}, {"epoch": 2, "val_accuracy": 0.6}]
        return SimpleNamespace(config={"lr": lr}, state=TrialRecordState(state), val_accuracy=0.6, curve=curve)

    study.enqueue_trial({"lr": 0.001})
    s = searcher(study)
    s.suggest("a")
    s.on_trial_complete("a", result("completed", (1, 0.4)))
    rows = {"cnn-0000": row("completed", 0.001), "cnn-0002": row("stopped", 0.01), "cnn-0003": row("completed", 0.02)}
    restore(study, rows, SPACE)
    assert [t.state.name for t in study.trials] == ["COMPLETE", "WAITING", "PRUNED", "COMPLETE"]
    assert study.trials[3].params == {"lr": 0.02} and study.trials[2].intermediate_values == {1: 0.5, 2: 0.6}
    s = searcher(study)
    assert [asked(s, name)[0].trial_id for name in "bc"] == ["cnn-0001", "cnn-0004"]
    restore(study, rows, SPACE)
    assert len(study.trials) == 5


def test_a_study_that_is_lost_hands_interrupted_trials_out_again_as_they_were(study: optuna.Study) -> None:
    restore(study, {}, SPACE, cut_short={"cnn-0002": {"lr": 0.03}, "cnn-0000": {"lr": 0.04}})
    assert [t.state.name for t in study.trials] == ["WAITING"] * 3
    s = searcher(study)
    s.set_max_concurrency(3)
    handed_out = [asked(s, name)[0] for name in "abc"]
    assert [lane.trial_id for lane in handed_out] == ["cnn-0000", "cnn-0001", "cnn-0002"]
    assert [handed_out[n].params for n in (0, 2)] == [{"lr": 0.04}, {"lr": 0.03}]


def test_a_storage_that_fails_ends_the_search_and_raises_nothing(study: optuna.Study, monkeypatch: Any) -> None:
    def locked(*args: Any, **kwargs: Any) -> None:
        raise optuna.exceptions.StorageInternalError("database is locked")

    s = searcher(study)
    s.suggest("a")
    monkeypatch.setattr(study._storage, "set_trial_intermediate_value", locked)
    s.on_trial_result("a", result("running", (1, 0.4)))
    assert "locked" in str(s.fault) and s.suggest("b") == Searcher.FINISHED
    s.on_trial_complete("a", result("running", (1, 0.4)))
    assert s.teller.listener.epochs == [1]  # what the storage refused is in the row all the same
    monkeypatch.setattr(study, "ask", locked)
    other = searcher(study)
    assert other.suggest("a") == Searcher.FINISHED and other.fault


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


def test_what_is_left_of_an_ask_that_failed_is_no_zombie(study: optuna.Study) -> None:
    study.ask()
    s = searcher(study)
    s.suggest("a")
    s.release()
    assert [t.state for t in study.trials] == [TrialState.FAIL, TrialState.WAITING]


def test_what_does_not_fit_is_pruned_and_asked_for_again(study: optuna.Study) -> None:
    s = searcher(study, wanted=3, fits=lambda params: params["lr"] < 0.005)
    for name in "abc":
        assert asked(s, name)[0].params["lr"] < 0.005
        s.on_trial_complete(name, result("completed", (1, 0.5)))
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


def test_several_objectives_are_told_together(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/study.db")
    study = open_study(storage, "cnn", resume=False, directions=["maximize", "minimize"])
    seed_sampler(study, "nsgaii", 0)
    s = searcher(study, objective=("accuracy", "parameters"))
    for name, state in {"a": "completed", "b": "stopped", "c": "diverged"}.items():
        s.suggest(name)
        told = {REPORTS: [report(state, (1, 0.4), (2, 0.6), parameters=70)]}
        s.on_trial_result(name, told)
        s.on_trial_complete(name, told)
    assert s.fault is None
    assert [t.state.name for t in study.trials] == ["COMPLETE", "FAIL", "FAIL"]
    assert study.trials[0].values == [0.6, 70.0]
    made_again = open_study(storage, "again", resume=False, directions=["maximize", "minimize"])
    row = SimpleNamespace(
        config={"lr": 0.01},
        state=TrialRecordState.COMPLETED,
        curve=[],
        to_dict=lambda: {"val_accuracy": 0.6, "parameters": 7},
    )
    restore(made_again, {"again-0000": row}, SPACE, ("accuracy", "parameters"))
    assert made_again.trials[0].values == [0.6, 7.0]


def test_drivers_of_one_study_leave_each_others_trials_alone(study: optuna.Study) -> None:
    mine, yours = searcher(study, driver="mine"), searcher(study, driver="yours")
    for name in "ab":
        mine.suggest(name)
        yours.suggest(name)
    mine.release()
    assert [t.state.name for t in study.trials] == ["WAITING", "RUNNING", "WAITING", "RUNNING"]
    assert yours.suggest("c") is None  # two run already
    reconcile(study, {"cnn-0001": (TrialRecordState.COMPLETED, 0.9)}, "mine")
    assert [t.state.name for t in study.trials] == ["WAITING", "RUNNING", "WAITING", "RUNNING"]
    reconcile(study, {"cnn-0001": (TrialRecordState.COMPLETED, 0.9)}, "yours")
    assert [t.state.name for t in study.trials] == ["WAITING", "COMPLETE", "WAITING", "WAITING"]


@pytest.mark.parametrize("broken", [{}, {REPORTS: [{}]}, {REPORTS: None}])
def test_a_result_without_what_it_should_hold_raises_nothing(study: optuna.Study, broken: dict[str, Any]) -> None:
    s = searcher(study)
    s.suggest("a")
    s.on_trial_result("a", broken)
    s.on_trial_complete("a", broken)
    assert all(t.state != TrialState.RUNNING for t in study.trials) or s.fault


def test_nothing_of_the_storage_is_pickled(study: optuna.Study, tmp_path: Path) -> None:
    pickled = pickle.dumps(searcher(study))
    assert b"study.db" not in pickled and tmp_path.name.encode() not in pickled


def test_a_resumed_study_does_not_repeat_its_configurations(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/study.db")
    lrs = []
    for _ in range(2):
        s = searcher(made(storage, 7))
        for name in "ab":
            lrs.append(asked(s, name)[0].params["lr"])
            s.on_trial_complete(name, result("completed", (1, 0.5)))
    assert len(set(lrs)) == 4


@pytest.mark.parametrize("name", ["tpe", "random", "gp", "cmaes"])
def test_every_sampler_works_without_a_warning(name: str, recwarn: pytest.WarningsRecorder) -> None:
    study = optuna.create_study(sampler=make_sampler(name, 0), direction="maximize")
    space = {**SPACE, "activation": optuna.distributions.CategoricalDistribution(("relu", "gelu"))}
    for number in range(14):
        trial = study.ask(space)
        study.tell(trial, number / 20 + trial.params["lr"])
    assert [str(w.message) for w in recwarn.list] == []


def test_sqlite_has_a_write_ahead_log(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/study.db")
    with storage.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://me:hunter2@127.0.0.1:9/x", "--storage postgresql://me:***@127.0.0.1:9/x: "),
        ("mysql+nodriver://me:hunter2@h/x", "--storage mysql+nodriver://me:***@h/x: "),
        ("sqlite:////nonexistent/folder/x.db", "--storage sqlite:////nonexistent/folder/x.db: cannot be opened"),
        ("not a url", "--storage not a url: cannot be opened"),
    ],
)
def test_a_wrong_storage_is_one_line_without_its_password(url: str, message: str) -> None:
    with pytest.raises(ValueError, match="--storage") as caught:
        open_storage(url)
    assert str(caught.value).startswith(message)
    assert "hunter2" not in str(caught.value) and "\n" not in str(caught.value)


def test_passwords_are_masked() -> None:
    assert masked("postgresql://me:hunter2@h:5/x") == "postgresql://me:***@h:5/x"
    assert masked("sqlite:///a.db") == "sqlite:///a.db"
    assert masked("postgresql://h/db?user=me&password=hunter2") == "postgresql://h/db?password=***&user=me"
    assert "hunter2" not in masked("mysql://h/db?passwd=hunter2&sslpassword=hunter2")
    assert "hunter2" not in masked("weird://me:hunter2@[broken")


def test_two_runs_never_share_a_study(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/shared.db")
    open_study(storage, "a/cnn", resume=False)
    with pytest.raises(optuna.exceptions.DuplicatedStudyError):
        open_study(storage, "a/cnn", resume=False)
    open_study(storage, "a/cnn", resume=True)
    with pytest.raises(
        ValueError, match=r"--storage sqlite:///x: already contains a study a/cnn; choose another --name"
    ):
        check_unused(storage, "sqlite:///x", ["a/cnn", "a/mlp"])


MIXED: Any = {
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "dropout": FloatDistribution(0.0, 0.6),
    "batch_size": CategoricalDistribution((32, 64, 128, 256)),
    "activation": CategoricalDistribution(("relu", "gelu", "tanh")),
}


def groups(study: optuna.Study, size: int = 4, wanted: int = 10, **options: Any) -> Any:
    return searcher(study, wanted, MIXED, at_once=9, size=size, **options)


def reports(*states: tuple[str, int, float]) -> dict[str, Any]:
    """One for each trial: its state, and the one epoch with its value that is new."""
    each = [report(state, (at, value), epochs=at) for state, at, value in states]
    return {REPORTS: each, "done": all(state != "running" for state, *_ in states)}


def test_the_lanes_of_an_array_share_a_shape_and_draw_the_rest(study: optuna.Study) -> None:
    s = groups(study)
    found = [asked(s, name) for name in "abc"]
    assert [len(lanes) for lanes in found] == [4, 4, 2] and s.suggest("d") == Searcher.FINISHED
    for lanes in found:
        assert len({(lane.params["batch_size"], lane.params["activation"]) for lane in lanes}) == 1
        assert (
            len({lane.params["lr"] for lane in lanes}) == len({lane.params["dropout"] for lane in lanes}) == len(lanes)
        )
    assert len({str(shape_of(lanes[0].params)) for lanes in found}) > 1
    assert [trial.params for trial in study.trials] == [lane.params for lanes in found for lane in lanes]
    assert type(study.sampler).__name__ == "RandomSampler"


def test_each_lane_is_a_row_and_a_trial_as_soon_as_it_is_over(study: optuna.Study) -> None:
    s = groups(study, size=3, wanted=3)
    s.suggest("a")
    s.on_trial_result("a", reports(("running", 1, 0.5), ("stopped", 1, 0.2), ("diverged", 1, math.nan)))
    assert [t.state for t in study.trials] == [TrialState.RUNNING, TrialState.PRUNED, TrialState.PRUNED]
    assert s.teller.listener.ended == [
        ("cnn-0001", "stopped", TrialState.RUNNING),
        ("cnn-0002", "diverged", TrialState.RUNNING),
    ]
    last = reports(("completed", 2, 0.6), ("stopped", 1, 0.2), ("diverged", 1, math.nan))
    s.on_trial_complete("a", last)
    assert [t.intermediate_values for t in study.trials] == [{1: 0.5, 2: 0.6}, {1: 0.2}, {}]
    assert study.trials[0].state == TrialState.COMPLETE and len(s.teller.listener.ended) == 3


def test_an_array_knows_what_others_had_on_its_rungs(study: optuna.Study) -> None:
    s = groups(study, size=2, wanted=4, rungs=(1, 3))
    assert s.suggest("a")[REQUEST].known == {1: (), 3: ()}
    s.on_trial_result("a", reports(("running", 1, 0.5), ("stopped", 1, 0.25)))
    assert s.suggest("b")[REQUEST].known == {1: (0.5, 0.25), 3: ()}


def test_trials_that_wait_come_first_whatever_their_shapes(study: optuna.Study) -> None:
    for size, activation in ((32, "relu"), (64, "gelu"), (32, "relu")):
        study.enqueue_trial({"lr": 1e-2, "dropout": 0.1, "batch_size": size, "activation": activation})
    s = groups(study, size=2, wanted=5)
    found = [asked(s, name) for name in "abc"]
    assert [[lane.number for lane in lanes] for lanes in found] == [[0, 2], [1, 3], [4]]
    assert found[1][1].params["batch_size"] == 64 and found[1][1].params["lr"] != 1e-2
    assert s.suggest("d") == Searcher.FINISHED


def test_a_worker_that_died_goes_on_with_the_lanes_that_are_left(study: optuna.Study) -> None:
    s = groups(study, size=3, wanted=3)
    s.suggest("a")
    s.on_trial_result("a", reports(("running", 1, 0.5), ("stopped", 1, 0.2), ("running", 1, 0.4)))
    assert [left.number for left in s.restart("a", 1)] == [0, 2]
    s.on_trial_complete("a", reports(("completed", 2, 0.6), ("completed", 2, 0.7)))
    assert [t.value for t in study.trials] == [0.6, 0.2, 0.7]


def test_what_an_interrupted_array_leaves_waits_in_the_study(study: optuna.Study) -> None:
    for size in (32, 64):
        study.enqueue_trial({"lr": 1e-2, "dropout": 0.1, "batch_size": size, "activation": "relu"})
    s = groups(study, size=3, wanted=3)
    s.suggest("a")
    s.on_trial_result("a", reports(("running", 1, 0.5), ("stopped", 1, 0.2)))
    s.release()
    states = [t.state for t in study.trials]
    assert states == [TrialState.WAITING, TrialState.WAITING, TrialState.PRUNED]


def test_trials_that_were_cut_short_go_on_with_those_that_are_as_far(study: optuna.Study) -> None:
    s = groups(study, size=4, wanted=4)
    lanes = asked(s, "a")
    s.on_trial_result("a", reports(("running", 1, 0.5), ("stopped", 1, 0.2), ("running", 1, 0.4), ("running", 1, 0.4)))
    s.on_trial_result("a", reports(("running", 3, 0.5), ("stopped", 1, 0.2), ("running", 3, 0.4), ("running", 2, 0.4)))
    s.release()
    study.enqueue_trial({**lanes[0].params, "lr": 0.05})  # of the same shape, and not begun
    again = groups(study, size=4, wanted=6, saved={"cnn-0000": 3, "cnn-0002": 3, "cnn-0003": 1})
    found = [[lane.number for lane in asked(again, name)] for name in "bcd"]
    assert found == [[0, 2], [3], [4, 5, 6]] and again.wanted == 0


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
        assert len(asked(s, name)) == 1
        s.on_trial_complete(name, reports(("completed", 1, 0.7)))
    assert s.suggest("d") == Searcher.FINISHED and len(study.trials) == 3


def test_its_row_says_so(study: optuna.Study) -> None:
    s = groups(study, size=1, wanted=2, gpus=0.5)
    for name, states in (("a", OOM), ("b", ("completed", 1, 0.7)), ("c", OOM), ("d", OOM)):
        s.suggest(name)
        s.on_trial_complete(name, reports(states))
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
    s.on_trial_complete("b", reports(("completed", 1, 0.7), ("completed", 1, 0.8)))
    s.on_trial_complete("c", reports(OOM))
    assert [t.state.name for t in study.trials] == ["COMPLETE", "PRUNED", "COMPLETE", "FAIL"]
    assert s.suggest("d") == Searcher.FINISHED


@pytest.mark.parametrize(("directions", "together"), [(["maximize"], {"x", "y"}), (["maximize", "minimize"], set())])
def test_tpe_draws_all_hyperparameters_together_for_one_objective_alone(
    directions: list[str], together: set[str]
) -> None:
    study = optuna.create_study(sampler=make_sampler("tpe", 0), directions=directions)
    space = {name: FloatDistribution(0.0, 1.0) for name in ("x", "y")}
    for _ in range(3):
        study.tell(study.ask(fixed_distributions=dict(space)), [0.5] * len(directions))
    waiting = study.ask()._cached_frozen_trial
    assert set(study.sampler.infer_relative_search_space(study, waiting)) == together
