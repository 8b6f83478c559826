from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hpo.search.memory_retry import larger_shares


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
