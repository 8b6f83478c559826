from __future__ import annotations

from collections import Counter
from typing import Any

import optuna
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.search import Searcher

from hpo.search.grouping import group_alike, shape_of
from hpo.trials.messages import REQUEST
from tests.helpers.searching import asked, groups, reports

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
    assert shape_of({**params, "label_smoothing": 0.1, "ema": 0.0, "clip_norm": 1.0}) == {
        "width_1": 4,
        "batch_size": 64,
    }
    assert shape_of({"beta1": 0.9, "schedule": "wsd", "ema": 0.9}) == {"beta1": 0.9, "schedule": "wsd"}


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


def test_the_trials_of_a_group_share_a_shape_and_draw_the_rest(study: optuna.Study) -> None:
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


def test_a_group_knows_what_others_had_on_its_rungs(study: optuna.Study) -> None:
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
