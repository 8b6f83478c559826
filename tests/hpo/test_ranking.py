from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hpo.ranking import pareto_front, rank
from hpo.records import TrialRecord, TrialState


def record(number: int = 0, **values: Any) -> TrialRecord:
    base: dict[str, Any] = {
        "trial_id": f"cnn-{number:04d}",
        "model": "cnn",
        "state": TrialState.COMPLETED,
        "config": {},
        "seed": 0,
        "parameters": 10,
        "dataset": "digits",
        "precision": "float32",
    }
    return TrialRecord(**{**base, **values})


def ids(records: list[TrialRecord]) -> list[str]:
    return [item.record.trial_id for item in rank(records)]


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


trials = st.builds(
    lambda number, state, accuracy, parameters, seconds: record(
        number, state=state, val_accuracy=accuracy, parameters=parameters, wall_time_s=seconds
    ),
    st.integers(0, 9999),
    st.sampled_from(TrialState),
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
