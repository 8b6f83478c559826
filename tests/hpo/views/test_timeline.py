"""A run as spans of time, in the format that trace viewers read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hpo.trials.messages import TrialRequest
from hpo.trials.records import TrialState
from hpo.views import timeline
from hpo.views.timeline import FINALS, TRIALS, Span, Timeline, finals_spans, trace
from tests.helpers.records import record
from tests.helpers.reports import report


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timeline, "time", clock)
    return clock


def request(trial_id: str) -> TrialRequest:
    return TrialRequest(trial_id=trial_id, number=0, params={}, asked_at=0.0)


def test_trials_at_the_same_time_have_rows_of_their_own(clock: Clock) -> None:
    seen = Timeline()
    seen.started(request("a"))
    clock.now = 101.0
    seen.started(request("b"))
    clock.now = 102.0
    seen.reported(request("a"), report(TrialState.PAUSED, (1, 0.5), trial_id="a"))
    seen.started(request("c"))
    clock.now = 104.0
    for name in "bc":
        seen.finished(record(0, trial_id=name))
    whole = {span.what: (span.row, span.began, span.ended) for span in seen.spans if len(span.what) == 1}
    assert whole == {"a": (0, 100.0, 102.0), "b": (1, 101.0, 104.0), "c": (0, 102.0, 104.0)}


def test_each_epoch_ends_when_it_is_reported_and_is_there_once(clock: Clock) -> None:
    seen = Timeline()
    seen.started(request("a"))
    first = report(TrialState.PAUSED, (1, 0.5), trial_id="a")
    (result,) = first.curve
    clock.now = 110.0
    seen.reported(request("a"), first)
    clock.now = 120.0
    seen.started(request("a"))
    clock.now = 130.0
    seen.reported(request("a"), report(TrialState.RUNNING, (1, 0.5), (2, 0.6), trial_id="a"))  # the whole curve again
    epochs = {span.what: span for span in seen.spans if span.what != "a"}
    assert len(epochs) == 4 and {span.group for span in epochs.values()} == {TRIALS}
    trained, tested = epochs["epoch 1: training"], epochs["epoch 1: evaluation"]
    assert (tested.ended, trained.ended) == (110.0, tested.began) and epochs["epoch 2: evaluation"].ended == 130.0
    assert tested.ended - tested.began == pytest.approx(result.eval_s)
    assert trained.ended - trained.began == pytest.approx(result.train_s)


def test_finals_that_overlap_have_rows_of_their_own() -> None:
    rows: list[dict[str, Any]] = [
        {"trial_id": "a", "seed": 1, "train_s": 4.0, "ended_at": 14.0},
        {"trial_id": "a", "seed": 2, "train_s": 4.0, "ended_at": 15.0},
        {"trial_id": "a", "seed": 3, "train_s": 2.0, "ended_at": 16.5},
        {"trial_id": "a", "seed": 4, "error": "no memory", "ended_at": 16.5},
        {"trial_id": "a", "seed": 5, "train_s": 4.0},
    ]
    found = [(span.what, span.row, span.began) for span in finals_spans(rows)]
    assert found == [("a, seed 1", 0, 10.0), ("a, seed 2", 1, 11.0), ("a, seed 3", 0, 14.5)]


def test_a_trace_has_microseconds_from_its_begin_and_names_its_groups() -> None:
    events = json.loads(trace([Span("late", 12.5, 13.0, FINALS, 2), Span("starting Ray", 10.0, 12.0)]))["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert [(event["name"], event["ts"], event["dur"]) for event in spans] == [
        ("starting Ray", 0, 2_000_000),
        ("late", 2_500_000, 500_000),
    ]
    names = {event["pid"]: event["args"]["name"] for event in events if event["ph"] == "M"}
    assert [names[event["pid"]] for event in spans] == ["driver", "finals"] and spans[1]["tid"] == 3
    assert json.loads(trace([]))["traceEvents"] == events[:3]
