"""Who is a finalist, and which of them is first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpo.trials.finalists import Finalist, choose, final_epochs, order
from hpo.trials.ranking import rank
from hpo.trials.records import TrialState
from tests.helpers.records import record


def test_the_best_of_each_architecture_that_is_usable() -> None:
    records = [
        record(0, model="cnn", val_accuracy=0.9),
        record(1, model="mlp", val_accuracy=0.8),
        record(2, model="cnn", val_accuracy=0.95),
        record(3, model="cnn", val_accuracy=0.99, state=TrialState.DIVERGED),
        record(4, model="vgg", state=TrialState.FAILED),
    ]
    ranked = rank(records)
    assert [r.trial_id[-1] for r in choose(ranked, 1)] == ["2", "1"]
    assert [r.trial_id[-1] for r in choose(ranked, 2)] == ["2", "0", "1"]
    assert choose(ranked, 0) == []


@pytest.mark.parametrize(
    ("config", "state", "epochs"),
    [
        ({"schedule": "linear"}, TrialState.COMPLETED, 9),
        ({"schedule": "wsd"}, TrialState.STOPPED, 9),
        ({"schedule": "none"}, TrialState.COMPLETED, 4),
        ({"schedule": "step"}, TrialState.COMPLETED, 4),
        ({}, TrialState.COMPLETED, 4),
        ({}, TrialState.STOPPED, 9),  # its best epoch is one of the few that it was given
    ],
)
def test_a_final_has_all_epochs_where_its_learning_rate_falls_until_the_last(
    config: dict[str, str], state: TrialState, epochs: int
) -> None:
    assert final_epochs(record(config=config, state=state, best_epoch=4, epochs=6), 9) == epochs


def finalist(number: int, wrong: int, parameters: int = 10) -> Finalist:
    right = np.ones((3, 1000), dtype=bool)
    right[:, :wrong] = False
    return Finalist(record(number, val_accuracy=0.99, parameters=parameters), (1, 2, 3), right)


def test_finalists_are_ordered_by_test_accuracy_and_say_who_is_tied() -> None:
    ordered = order([finalist(0, 200), finalist(1, 12, 99), finalist(2, 12, 5), finalist(3, 13)])
    assert [f.record.trial_id[-1] for f in ordered] == ["2", "1", "3", "0"]
    assert [f.tied_with_best for f in ordered] == [True, True, True, False]
    assert ordered[0].optimism == pytest.approx(0.99 - 0.988)
    assert order([]) == []


def test_there_is_no_optimism_where_finals_have_many_more_images_than_trials() -> None:
    assert replace(finalist(0, 12), growth=1.33).optimism == pytest.approx(0.99 - 0.988)
    assert replace(finalist(0, 12), growth=9.3).optimism is None
