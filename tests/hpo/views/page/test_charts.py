from __future__ import annotations

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


def test_of_networks_of_one_size_the_accuracy_is_shown_over_time() -> None:
    records = [
        trial(0, val_accuracy=0.9, wall_time_s=9.0),
        trial(1, val_accuracy=0.8, wall_time_s=1.0),
        trial(2, val_accuracy=0.7, wall_time_s=0.5, state=TrialState.STOPPED),  # its time is not that of a training
    ]
    figure = charts.pareto(rank(records))
    marks, front = figure.data
    assert sorted(marks.x) == [0.5, 1.0, 9.0] and list(front.x) == [1.0, 9.0] and list(front.y) == [0.8, 0.9]
    assert figure.layout.xaxis.title.text == "seconds per trial" and "accuracy, time" in front.name


@pytest.mark.parametrize(("by_time", "at"), [(False, [1, 2, 3, 4]), (True, [2.0, 3.0, 5.0, 8.0])])
def test_the_history_has_every_trial_and_the_best_so_far(by_time: bool, at: list[float]) -> None:
    records = [
        trial(0, val_accuracy=0.7, wall_time_s=4.0),
        trial(1, val_accuracy=None, wall_time_s=2.0, state=TrialState.DIVERGED),
        trial(2, val_accuracy=0.9, wall_time_s=4.0),
        trial(3, val_accuracy=0.8, wall_time_s=6.0, state=TrialState.STOPPED),
    ]
    figure = charts.history(records, [record.trial_id for record in records], 2, by_time=by_time)
    whole, stopped, best = figure.data
    assert list(whole.x) == [at[0], at[2]] and list(whole.customdata) == ["cnn-0000", "cnn-0002"]
    assert list(stopped.x) == [at[3]] and list(best.y) == [0.7, 0.9, 0.9] and list(best.x) == [at[0], at[2], at[3]]
    assert "lr: " in whole.text[0]


def test_of_a_loss_the_lowest_is_the_best_so_far() -> None:
    records = [trial(n, metric="log_loss", val_score=-loss) for n, loss in enumerate((0.5, 0.7, 0.2))]
    *_, best = charts.history(records, (), 1, by_time=False).data
    assert list(best.y) == [0.5, 0.2, 0.2]
    assert charts.curves(rank(records)).layout.meta is None  # 1 - loss says nothing


def test_a_trial_that_was_never_finite_has_no_history() -> None:
    figure = charts.history([trial(0, val_accuracy=None, state=TrialState.FAILED)], ["cnn-0000"], 1, by_time=True)
    assert [len(trace.x) for trace in figure.data] == [0, 0, 0]


def test_curves_begin_where_good_trials_begin() -> None:
    def curve(*values: float) -> list[dict[str, float]]:
        return [{"epoch": n, "val_accuracy": value, "val_loss": 1.0} for n, value in enumerate(values, start=1)]

    good, bad = curve(0.9, 0.98), curve(0.1, 0.2)
    records = [trial(n, curve=good, val_accuracy=0.98) for n in range(3)]
    records += [trial(n, curve=bad, val_accuracy=0.2) for n in range(3, 6)]
    low, high = charts.curves(rank(records)).layout.yaxis.range
    assert 0.89 < low < 0.9 and 0.98 < high < 0.99


def test_curves_that_were_stopped_are_dimmed_and_the_best_is_on_top() -> None:
    ranked = rank([trial(0, val_accuracy=0.9), trial(1, val_accuracy=0.8, epochs=1, state=TrialState.STOPPED)])
    legend, stopped, best = charts.curves(ranked).data
    assert legend.name == "cnn" and (stopped.opacity, best.opacity) == (0.25, 0.9)
    assert best.name == "cnn-0000 (completed)" and list(best.x) == [1, 2, 3] and best.line.width == 3


def test_times_are_summed_by_architecture() -> None:
    bars = charts.times([trial(0), trial(1), trial(2, model="mlp")]).data
    assert {bar.name: list(bar.x) for bar in bars}["training"] == [1.0, 0.5] and len(bars) == 4
    *_, finals = charts.times([trial(0)], finals_s=7.0).data
    assert list(finals.x) == [7.0] and list(finals.y) == ["finals"]


def test_right_answers_of_a_confusion_matrix_have_no_colour() -> None:
    (heat,) = charts.confusion([[5, 1], [0, 4]], ["<a>", "b"]).data
    assert [list(row) for row in heat.z] == [[None, 1 / 6], [0, None]] and list(heat.x) == ["&lt;a&gt;", "b"]
    assert [list(row) for row in heat.text] == [["5", "1"], ["", "4"]]
