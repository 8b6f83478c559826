from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hpo.search.grouping import group_alike, shape_of

PARAMS = st.fixed_dictionaries(
    {
        "lr": st.sampled_from([0.1, 0.2]),
        "dropout": st.sampled_from([0.0, 0.5]),
        "batch_size": st.sampled_from([32, 64]),
        "activation": st.sampled_from(["relu", "gelu"]),
    },
    optional={"width_1": st.sampled_from([4, 8]), "weight_decay": st.just(0.1)},
)


def test_a_shape_is_what_trials_of_a_group_share() -> None:
    params = {"lr": 0.1, "weight_decay": 0.0, "dropout": 0.2, "optimizer": "adam", "width_1": 4, "batch_size": 64}
    assert shape_of(params) == {"width_1": 4, "batch_size": 64}


@given(st.lists(PARAMS, max_size=30), st.integers(1, 6))
def test_every_trial_is_in_one_group_of_its_shape(trials: list[dict[str, Any]], most: int) -> None:
    items = list(enumerate(trials))
    groups = group_alike(items, lambda item: shape_of(item[1]), most)
    assert sorted(item[0] for group in groups for item in group) == list(range(len(trials)))
    for group in groups:
        assert 1 <= len(group) <= most and all(shape_of(params) == shape_of(group[0][1]) for _, params in group)
        assert [number for number, _ in group] == sorted(number for number, _ in group)
    firsts = [group[0][0] for group in groups]
    assert firsts == sorted(firsts)
    # As few groups as there can be: all of a shape but one are full.
    not_full = Counter(str(sorted(shape_of(group[0][1]).items())) for group in groups if len(group) < most)
    assert all(count == 1 for count in not_full.values())
