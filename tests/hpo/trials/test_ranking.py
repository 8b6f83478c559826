from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.trials.ranking import Leaders, RankBy, pareto_front, rank
from hpo.trials.records import FINISHED_STATES, TrialRecord, TrialState
from tests.helpers.records import ids, record


def test_accuracy_then_parameters_then_wall_time() -> None:
    records = [
        record(0, val_accuracy=0.9, parameters=5, wall_time_s=3.0),
        record(1, val_accuracy=0.9, parameters=5, wall_time_s=2.0),
        record(2, val_accuracy=0.9, parameters=4, wall_time_s=9.0),
        record(3, val_accuracy=0.91, parameters=900, wall_time_s=99.0),
    ]
    assert ids(records) == ["cnn-0003", "cnn-0002", "cnn-0001", "cnn-0000"]


def test_diverged_then_failed_come_last_whatever_they_reached() -> None:
    records = [
        record(0, state=TrialState.FAILED, val_accuracy=0.99),
        record(1, state=TrialState.DIVERGED, val_accuracy=0.98),
        record(2, state=TrialState.DIVERGED),
        record(3, state=TrialState.STOPPED, val_accuracy=0.1),
        record(4, state=TrialState.COMPLETED, val_accuracy=0.2),
    ]
    assert ids(records) == ["cnn-0004", "cnn-0003", "cnn-0001", "cnn-0002", "cnn-0000"]
    assert [item.pareto for item in rank(records)] == [True, False, False, False, False]


def test_a_trial_that_was_stopped_is_on_the_front_only_where_none_was_trained_to_its_end() -> None:
    stopped = record(0, state=TrialState.STOPPED, val_accuracy=0.1, wall_time_s=1.0)
    whole = record(1, state=TrialState.COMPLETED, val_accuracy=0.9, wall_time_s=9.0)
    assert [item.record.trial_id for item in rank([stopped, whole]) if item.pareto] == ["cnn-0001"]
    assert [item.pareto for item in rank([stopped])] == [True]


trials = st.builds(
    lambda number, state, accuracy, parameters, seconds: record(
        number, state=state, val_accuracy=accuracy, parameters=parameters, wall_time_s=seconds
    ),
    st.integers(0, 9999),
    st.sampled_from(FINISHED_STATES),
    st.sampled_from([None, 0.1, 0.5, 0.5, 0.9, 1.0]),
    st.integers(1, 4),
    st.sampled_from([0.0, 1.0, 2.0]),
)
studies = st.lists(trials, max_size=30, unique_by=lambda r: r.trial_id)


@given(studies)
def test_ranks_have_no_gap_and_do_not_depend_on_the_order(records: list[TrialRecord]) -> None:
    assert [item.rank for item in rank(records)] == list(range(1, len(records) + 1))
    assert ids(records) == ids(records[::-1])


@given(studies)
def test_the_pareto_front_is_what_brute_force_finds(records: list[TrialRecord]) -> None:
    def beats(a: TrialRecord, b: TrialRecord) -> bool:
        x = (-(a.val_accuracy or 0), a.parameters, a.wall_time_s)
        y = (-(b.val_accuracy or 0), b.parameters, b.wall_time_s)
        return all(p <= q for p, q in zip(x, y, strict=True)) and x != y

    usable = [r for r in records if r.usable]
    expected = {r.trial_id for r in usable if not any(beats(other, r) for other in usable)}
    assert pareto_front(records) == expected


def order_by(records: list[TrialRecord], *words: str, images: int | None = None) -> list[int]:
    return [int(item.record.trial_id[-4:]) for item in rank(records, RankBy.of(words, images))]


OF_THREE_KINDS = [
    record(0, val_accuracy=0.99, parameters=1_000_000, wall_time_s=100.0),
    record(1, val_accuracy=0.98, parameters=10_000, wall_time_s=50.0),
    record(2, val_accuracy=0.90, parameters=5_000, wall_time_s=1.0),
]


def test_another_order() -> None:
    assert order_by(OF_THREE_KINDS) == [0, 1, 2]
    assert order_by(OF_THREE_KINDS, "time") == order_by(OF_THREE_KINDS, "parameters", "accuracy") == [2, 1, 0]
    tied = [record(0, val_accuracy=0.9, parameters=2), record(1, val_accuracy=0.95, parameters=2)]
    assert order_by(tied, "parameters") == [1, 0]  # what is left out decides where those named are equal


def test_weights() -> None:
    assert order_by(OF_THREE_KINDS, "accuracy=1") == [0, 1, 2]
    # By logarithms 10,000 parameters lie an eighth of the way from 5,000 to 1,000,000.
    assert order_by(OF_THREE_KINDS, "accuracy=1", "parameters=0.5") == [1, 0, 2]
    assert order_by(OF_THREE_KINDS, "accuracy=0.1", "time=1") == [2, 1, 0]


def test_within_one_standard_error_the_smallest_is_first() -> None:
    # Of 0.99 on 100 images: 0.00995.
    records = [*OF_THREE_KINDS, record(3, val_accuracy=0.981, parameters=20_000, wall_time_s=9.0)]
    assert order_by(records, images=100) == [3, 0, 1, 2]
    assert order_by(records, images=90) == [1, 3, 0, 2]
    assert order_by(records, images=100_000) == [0, 3, 1, 2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("speed",), "--rank-by speed: 'speed' is unknown; choose from accuracy, parameters, time"),
        (("time", "time"), "--rank-by time time: names a criterion twice"),
        (("accuracy=1", "time"), "to all of them, or to none"),
        (("accuracy=0",), "the weight in 'accuracy=0' must be a number above 0"),
        (("accuracy=x",), "the weight in 'accuracy=x' must be a number above 0"),
        (("accuracy=nan",), "must be a number above 0"),
    ],
)
def test_a_wrong_order_is_one_line(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RankBy.of(words)


ways = st.sampled_from(
    [
        RankBy(),
        RankBy.of(["parameters"]),
        RankBy.of(["time", "parameters"]),
        RankBy.of(["accuracy=1", "time=0.3"]),
        RankBy.of(["parameters=2", "accuracy=1", "time=0.1"]),
        RankBy.of([], images=20),
        RankBy(objectives=("score", "parameters")),
        RankBy(order=("time", "score", "parameters"), objectives=("score", "time")),
    ]
)


@given(studies, ways)
def test_every_way_ranks_all_and_failed_ones_last(records: list[TrialRecord], by: RankBy) -> None:
    ranked = rank(records, by)
    assert [item.rank for item in ranked] == list(range(1, len(records) + 1))
    assert [i.record.trial_id for i in ranked] == [i.record.trial_id for i in rank(records[::-1], by)]
    groups = [{"completed": 0, "stopped": 0, "diverged": 1, "failed": 2}[i.record.state.value] for i in ranked]
    assert groups == sorted(groups)


@given(studies, ways)
def test_the_winner_is_among_the_leaders_whenever_it_comes(records: list[TrialRecord], by: RankBy) -> None:
    leaders, out = Leaders(by, []), set()
    for at, one in enumerate(records, start=1):
        out |= {gone.trial_id for gone in leaders.added(one)}
        first = rank(records[:at], by)[0].record
        assert not first.usable or first.trial_id not in out
