"""What early stopping decided on each rung, from the records of a run alone."""

from __future__ import annotations

from typing import Any

import pytest
from scipy.stats import spearmanr

from hpo.trials.records import TrialRecord, TrialState
from hpo.trials.rung_report import RungReport, rank_correlation, report_rungs
from tests.helpers.records import record


def trial(number: int, *values: float | None, **more: Any) -> TrialRecord:
    curve = [{"epoch": epoch, "val_accuracy": value} for epoch, value in enumerate(values, start=1)]
    return record(number, curve=curve, epochs=len(values), **more)


def test_a_rung_says_how_many_came_and_how_many_went_on() -> None:
    records = [
        trial(0, 0.1, 0.5, 0.6),
        trial(1, 0.1, 0.4, state=TrialState.STOPPED),
        trial(2, 0.1, 0.7, None, state=TrialState.DIVERGED),  # it went on, and came to no value
        trial(3, 0.1, state=TrialState.STOPPED),  # by the time budget, before the rung
        trial(4, state=TrialState.FAILED),
    ]
    assert report_rungs(records, (2,), 3) == [
        RungReport(model="cnn", epochs=2, came=3, went_on=2, next_epochs=3, compared=1, rank_correlation=None)
    ]


def test_each_rung_is_held_against_the_next_one_and_the_last_against_the_last_epoch() -> None:
    rising = [trial(n, n / 10, n / 20, -n / 30) for n in range(5)]
    first, second = report_rungs(rising, (1, 2), 3)
    assert (first.next_epochs, first.compared, first.rank_correlation) == (2, 5, pytest.approx(1.0))
    assert (second.next_epochs, second.compared, second.rank_correlation) == (3, 5, pytest.approx(-1.0))
    assert report_rungs(rising, (), 3) == []


def test_architectures_are_apart_and_each_has_all_rungs() -> None:
    records = [trial(0, 0.5, model="cnn"), trial(1, 0.5, 0.6, model="mlp")]
    reports = report_rungs(records, (1, 2), 3)
    assert [(one.model, one.epochs, one.came) for one in reports] == [
        ("cnn", 1, 1),
        ("cnn", 2, 0),
        ("mlp", 1, 1),
        ("mlp", 2, 1),
    ]


def test_a_correlation_needs_five_trials_that_differ() -> None:
    assert rank_correlation([1, 2, 3, 4], [1, 2, 3, 4]) is None
    assert rank_correlation([1, 1, 1, 1, 1], [1, 2, 3, 4, 5]) is None
    one, other = [0.1, 0.5, 0.5, 0.7, 0.2, 0.9], [0.3, 0.3, 0.8, 0.6, 0.1, 0.7]
    assert rank_correlation(one, other) == pytest.approx(spearmanr(one, other).statistic)


@pytest.mark.parametrize(
    ("compared", "correlation", "badly"), [(10, 0.09, True), (9, 0.0, False), (10, 0.1, False), (11, None, False)]
)
def test_a_few_trials_are_no_reason_to_call_a_rung_bad(compared: int, correlation: float | None, badly: bool) -> None:
    report = RungReport("cnn", 2, 30, 10, 6, compared, correlation)
    assert report.predicts_badly is badly
    assert report.to_dict() == {
        "epochs": 2, "came": 30, "went_on": 10, "next_epochs": 6, "compared": compared, "rank_correlation": correlation,
    }  # fmt: skip
