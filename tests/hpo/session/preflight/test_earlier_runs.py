"""Runs that --learn-from names, and what a new run keeps of them."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from hpo import StudySpec, plan_study
from hpo.run import main
from hpo.session.preflight.planning import preflight
from hpo.session.study_json import describe
from hpo.spec.plan import Plan
from hpo.trials.records import TrialRecord, TrialState
from tests.helpers.pages import a_run, trial
from tests.helpers.specs import digits


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs: cnn on digits, and an architecture of a user's that is not on the path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    a_run(Path("results/A"), [trial(n) for n in range(8)])
    a_run(Path("results/B"), [trial(n, model="foreign:Net", dataset="scans") for n in range(20, 26)])
    return tmp_path / "results"


def planned(**settings: Any) -> Plan:
    return plan_study(StudySpec.of(**{"dataset": "digits", "trials": 20, **settings}))


def best(first: int, count: int) -> TrialRecord:
    return max((trial(n) for n in range(first, first + count)), key=lambda record: record.val_accuracy or 0.0)


def test_runs_are_named_by_folder_or_by_name() -> None:
    for named in ("A", "results/A", ["A", "results/A"]):
        plan = planned(learn_from=named)
        assert plan.notices[0] == "learns from: 1 run, 8 trials (cnn on digits)"
        assert plan.notices[1] == "first trials: the recipe, then configurations of earlier runs: 2 (cnn)"
        recipe, first, *_ = plan.models[0].first_configs
        assert recipe == plan.models[0].space.default
        assert first["batch_size"] == best(0, 8).config["batch_size"] and first["dropout"] == recipe["dropout"]
        assert plan.models[0].guesses[0].config["batch_size"] == first["batch_size"]


def test_all_is_every_run_and_code_that_one_names_is_not_imported() -> None:
    (note, begins) = planned(learn_from="all", model=["mlp", "cnn"]).notices
    assert note == "learns from: 2 runs, 14 trials (cnn on digits, foreign:Net on scans)"
    assert begins.endswith("3 (mlp), 3 (cnn)") and "foreign" not in sys.modules


def test_the_plan_of_a_dry_run_lists_the_first_trials(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dataset", "digits", "--learn-from", "A", "--trials", "9", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("  trial 1: lr ") and "trial 2" not in lines[-1]


def test_what_all_cannot_read_is_left_out_with_a_note(results: Path) -> None:
    (results / "B" / "study.json").write_text("{")
    a_run(results / "empty", [])
    left_out, note, _ = planned(learn_from="all").notices
    assert left_out.startswith("--learn-from all: leaves out results/B: cannot be read (")
    assert note == "learns from: 1 run, 8 trials (cnn on digits)"


def test_without_earlier_runs_the_first_trials_are_the_built_in_ones() -> None:
    built_in, guess = planned(trials=10).models[0], planned(trials=10, prior="dropout=0.3").models[0]
    assert len(built_in.first_configs) == 1 + 2 and built_in.first_configs[0] == built_in.space.default
    assert [config["dropout"] for config in guess.first_configs[:2]] == [0.0, 0.3]
    assert guess.first_configs[2:] == built_in.first_configs[1:] and built_in.guesses == ()
    for settings in ({"learn_from": "none"}, {"sampler": "random"}, {"sampler": "random", "learn_from": "none"}):
        (model,) = planned(**settings).models
        assert (model.first_configs or (model.space.default,)) == (model.space.default,)


def test_all_of_no_run_is_no_mistake(tmp_path: Path) -> None:
    (note,) = planned(learn_from="all", results_dir=tmp_path / "new").notices
    assert note == "learns from: no run, since none has finished trials"


def test_mistakes_are_one_line(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_run(results / "empty", [])
    a_run(results / "failed", [trial(0, state=TrialState.FAILED)])
    (results / "B" / "study.json").write_text("{")
    runs = "(runs in results: A, B, empty, failed); give a run, all or none"
    mistakes = {
        "C": f"C: not a run folder {runs}",
        "results": f"results: not a run folder {runs}",
        "empty": "empty: has no finished trials",
        "A failed": "failed: has no finished trials",
        "B": "results/B: cannot be read (",
        "A B --sampler tpe": "A B: is for --sampler auto; tpe cannot learn from other runs",
        "none A": "none A: give none alone, or leave it out",
        "all --objective accuracy time": "all: is for one objective; leave it out with --objective accuracy time",
    }
    for line, message in mistakes.items():
        assert main(["--dataset", "digits", "--dry-run", "--learn-from", *line.split()]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"hpo: --learn-from {message}") and err.count("\n") == 1, err


def test_a_resumed_run_keeps_what_it_learned(results: Path) -> None:
    plan = preflight(digits(learn_from="all", model="mlp", trials=20))
    stored = json.loads(json.dumps(describe(plan)))
    shutil.rmtree(results)
    again = preflight(digits(learn_from="all", model="mlp", trials=30, resume="x"), stored)
    assert again.models[0].guesses == plan.models[0].guesses != ()
    assert again.models[0].first_configs == plan.models[0].first_configs
    assert describe(again)["models"] == stored["models"]


def test_a_run_from_before_there_was_such_a_thing_can_be_resumed() -> None:
    stored = describe(preflight(digits(model="mlp")))
    for key in ("guesses", "first_configs"):
        del stored["models"]["mlp"][key]
    (model,) = preflight(digits(model="mlp", resume="x"), stored).models
    assert model.guesses == model.first_configs == ()
    with pytest.raises(ValueError, match=r"cannot change --learn-from unset -> \['all'\]"):
        preflight(digits(model="mlp", resume="x", learn_from="all"), stored)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("guesses", 3),
        ("guesses", [{"config": {}}]),
        ("guesses", [{"config": {}, "weight": -1, "widths": {}}]),
        ("guesses", [{"config": {}, "weight": 1, "widths": {"lr": "x"}}]),
        ("first_configs", {"lr": 1}),
        ("first_configs", [{"lr": 1}]),
    ],
)
def test_what_is_damaged_is_said(key: str, value: Any) -> None:
    stored = describe(preflight(digits(model="mlp")))
    stored["models"]["mlp"][key] = value
    with pytest.raises(ValueError, match=r"--resume x: its study\.json is damaged"):
        preflight(digits(model="mlp", resume="x"), stored)
