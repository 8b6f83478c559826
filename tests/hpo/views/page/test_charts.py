from __future__ import annotations

import math

import pytest

from hpo.trials.ranking import rank
from hpo.trials.records import TrialState
from hpo.views.page import charts
from tests.helpers.pages import trial


def test_the_front_is_a_line_that_rises() -> None:
    records = [
        trial(0, val_accuracy=0.9, parameters=100),
        trial(1, val_accuracy=0.8, parameters=10),
        trial(2, val_accuracy=0.7, parameters=1000, wall_time_s=0.1),  # on the front by its time alone
        trial(3, val_accuracy=None, state=TrialState.FAILED),
    ]
    *models, front = charts.pareto(rank(records)).data
    assert [len(model.x) for model in models] == [3]
    assert list(front.x) == [10, 100] and list(front.y) == [0.8, 0.9]


def test_curves_that_were_stopped_are_dimmed_and_the_best_is_on_top() -> None:
    ranked = rank([trial(0, val_accuracy=0.9), trial(1, val_accuracy=0.8, epochs=1, state=TrialState.STOPPED)])
    legend, stopped, best = charts.curves(ranked).data
    assert legend.name == "cnn" and (stopped.opacity, best.opacity) == (0.25, 0.9)
    assert best.name == "cnn-0000 (completed)" and list(best.x) == [1, 2, 3] and best.line.width == 3


def test_times_are_summed_by_architecture() -> None:
    bars = charts.times([trial(0), trial(1), trial(2, model="mlp")]).data
    assert {bar.name: list(bar.x) for bar in bars}["training"] == [1.0, 0.5]


def test_right_answers_of_a_confusion_matrix_have_no_colour() -> None:
    (heat,) = charts.confusion([[5, 1], [0, 4]], ["<a>", "b"]).data
    assert [list(row) for row in heat.z] == [[None, 1], [0, None]] and list(heat.x) == ["&lt;a&gt;", "b"]
    assert [list(row) for row in heat.text] == [["5", "1"], ["", "4"]]


def test_trials_are_compared_at_an_epoch_that_enough_of_them_reached() -> None:
    records = [trial(n, epochs=epochs) for n, epochs in enumerate((1, 3, 3, 9))]
    assert charts.common_epoch(records, enough=3) == 3 and charts.common_epoch(records, enough=5) is None
    records[3].curve[1]["val_accuracy"] = math.nan
    assert charts.common_epoch(records, enough=3) == 1
    study = charts.study_at(records, 3)
    assert len(study.trials) == 2 and study.trials[0].value == records[1].curve[2]["val_accuracy"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["relu", "tanh"], "CategoricalDistribution"),
        ([True, False], "CategoricalDistribution"),
        ([32, 64], "CategoricalDistribution"),
        (list(range(8)), "IntDistribution"),
        ([1e-4, 1e-1], "FloatDistribution"),
    ],
)
def test_hyperparameters_get_a_distribution_by_their_values(values: list[object], kind: str) -> None:
    records = [trial(n, config={"x": value, "same": 1}) for n, value in enumerate(values)]
    found = charts.study_at(records, 1).trials[0].distributions
    assert {key: type(each).__name__ for key, each in found.items()} == {"x": kind}
    assert getattr(found["x"], "log", kind != "FloatDistribution") is not (kind == "IntDistribution")
