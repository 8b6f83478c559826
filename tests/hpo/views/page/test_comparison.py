"""The page of several runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hpo.store.stored_run import StoredRun
from hpo.trials.ranking import rank
from hpo.trials.records import TrialRecord
from hpo.views.page import charts
from hpo.views.page.comparison import Comparison, render_comparison
from tests.helpers.pages import EVIL, a_run, trial


def compared(**runs: StoredRun) -> Comparison:
    records = [
        replace(record, trial_id=f"{name}/{record.trial_id}") for name, run in runs.items() for record in run.records
    ]
    return Comparison(runs, rank(records), ())


def test_it_says_which_run_has_the_best_and_in_what_they_differ(tmp_path: Path) -> None:
    spec = {"model": ["cnn"], "trials": 2, "sampler": "auto", "name": "a"}
    one = a_run(tmp_path / "a", [trial(0, val_accuracy=0.5), trial(1, val_accuracy=0.75)], spec=spec)
    other = a_run(tmp_path / "b", [trial(0, val_accuracy=0.625)], spec={**spec, "sampler": "tpe", "name": "b"})
    page = render_comparison(compared(a=one, b=other))
    assert "cnn-0001 of a is the best of all" in page and ">0.7500<" in page
    assert "b/cnn-0000, rank 2: 0.6250" in page and "used different images" not in page
    assert "<code>--sampler</code>" in page and ">auto</td>" in page and ">tpe</td>" in page
    assert "<code>--trials</code>" not in page and "<code>--name</code>" not in page
    assert "hpo evaluate a<" in page and "command of b" in page


def test_runs_of_other_images_are_named_and_names_are_no_code(tmp_path: Path) -> None:
    one = a_run(tmp_path / "a", [trial(0)])
    other = a_run(tmp_path / "b", [trial(0)], data={**one.study["data"], "hashes": {"train": "x"}, "name": EVIL})
    page = render_comparison(compared(a=one, b=other))
    assert "The runs used different images" in page and EVIL not in page


def test_a_run_without_trials_is_a_row_and_no_line(tmp_path: Path) -> None:
    page = render_comparison(compared(a=a_run(tmp_path / "a", [trial(0)]), b=a_run(tmp_path / "b", [])))
    assert "best of a" in page and "best of b" not in page
    page = render_comparison(compared(c=a_run(tmp_path / "c", []), d=a_run(tmp_path / "d", [])))
    assert "there is nothing to draw" in page


def test_a_line_of_each_run_rises_with_its_best_value() -> None:
    def of(*values: float) -> list[TrialRecord]:
        return [trial(n, val_accuracy=value, wall_time_s=4.0, share_s=0.0) for n, value in enumerate(values)]

    figure = charts.histories({"a": of(0.5, 0.4, 0.6), "b": of(0.7)}, {"a": 2, "b": 1}, by_time=False)
    assert [(line.name, list(line.x), list(line.y)) for line in figure.data] == [
        ("a", [1, 3, 3], [0.5, 0.6, 0.6]),
        ("b", [1, 1], [0.7, 0.7]),
    ]
    figure = charts.histories({"a": of(0.5, 0.4, 0.6), "b": of(0.7)}, {"a": 2, "b": 1}, by_time=True)
    assert [list(line.x) for line in figure.data] == [[2, 6, 6], [4, 4]]
