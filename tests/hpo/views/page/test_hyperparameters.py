"""The figures of hyperparameters: which matter, and where good values are."""

from __future__ import annotations

import math

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from hpo.views.page import hyperparameters
from tests.helpers.pages import trial

SPACE: dict[str, BaseDistribution] = {
    "lr": FloatDistribution(1e-5, 1.0, log=True),
    "activation": CategoricalDistribution(("tanh", "relu", "<b>")),
}


def test_trials_are_compared_at_an_epoch_that_enough_of_them_reached() -> None:
    records = [trial(n, epochs=epochs) for n, epochs in enumerate((1, 3, 3, 9))]
    assert (
        hyperparameters.common_epoch(records, enough=3) == 3 and hyperparameters.common_epoch(records, enough=5) is None
    )
    records[3].curve[1]["val_accuracy"] = math.nan
    assert hyperparameters.common_epoch(records, enough=3) == 1
    study = hyperparameters.study_at(records, 3, {})
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
    found = hyperparameters.study_at(records, 1, {}).trials[0].distributions
    assert {key: type(each).__name__ for key, each in found.items()} == {"x": kind}
    assert getattr(found["x"], "log", kind != "FloatDistribution") is not (kind == "IntDistribution")


def test_axes_are_those_of_the_space() -> None:
    records = [
        trial(n, config={"lr": lr, "activation": activation})
        for n, (lr, activation) in enumerate([(1e-2, "relu"), (1e-3, "tanh"), (1e-5, "<b>")])
    ]
    study = hyperparameters.study_at(records, 1, SPACE)
    assert study.trials[0].distributions["lr"] == SPACE["lr"]
    figure = hyperparameters.slices(study)
    choices, rates = figure.layout.xaxis, figure.layout.xaxis2
    assert list(choices.categoryarray) == ["tanh", "relu", "&lt;b&gt;"] and rates.type == "log"
    assert list(figure.data[0].x) == ["relu", "tanh", "&lt;b&gt;"] and list(figure.data[1].x) == [1e-2, 1e-3, 1e-5]
    outside = [*records, trial(3, config={"lr": 2.0, "activation": "elu"})]  # of another space
    found = hyperparameters.study_at(outside, 1, SPACE).trials[0].distributions
    assert found["lr"].high == 2.0 and found["activation"].choices == ("&lt;b&gt;", "elu", "relu", "tanh")


def test_slices_are_coloured_by_the_number_of_the_trial() -> None:
    records = [trial(n, config={"lr": 10.0**-n}) for n in (3, 1, 2)]
    (marks,) = hyperparameters.slices(hyperparameters.study_at(records, 1, SPACE)).data
    assert list(marks.x) == [0.1, 0.01, 0.001] and list(marks.marker.color) == [0, 1, 2]


def test_lines_run_from_the_metric_through_every_hyperparameter() -> None:
    records = [
        trial(n, config={"lr": lr, "activation": "relu"}, curve=[{"epoch": 1, "val_accuracy": accuracy}])
        for n, (lr, accuracy) in enumerate([(1.0, 0.9), (1e-5, 0.5)])
    ]
    records[1].config["activation"] = "tanh"
    figure = hyperparameters.parallel(hyperparameters.study_at(records, 1, SPACE))
    lines = [list(trace.y) for trace in figure.data if trace.y]
    assert lines == [[0.0, 0.0, 0.0, None], [1.0, 0.5, 1.0, None]]
    assert list(figure.layout.xaxis.ticktext) == ["accuracy", "activation", "lr"]
    texts = [note.text for note in figure.layout.annotations]
    assert texts == ["0.5", "0.7", "0.9", "tanh", "relu", "&lt;b&gt;", "1e-05", "0.00316", "1"]


def test_importances_have_an_uncertainty_that_falls_with_the_number_of_trials() -> None:
    def made(trials: int) -> object:
        records = []
        for n in range(trials):
            config = {"lr": 10.0 ** -(n % 5), "noise": float(n * 7 % 11)}
            records.append(trial(n, config=config, curve=[{"epoch": 1, "val_accuracy": 0.9 - 0.1 * (n % 5)}]))
        (bar,) = hyperparameters.importances(hyperparameters.study_at(records, 1, SPACE)).data
        return bar

    few, many = made(10), made(200)
    assert list(many.y) == ["noise", "lr"] and many.x[1] > 0.9  # type: ignore[attr-defined]
    assert many.error_x.array[1] < few.error_x.array[1]  # type: ignore[attr-defined]
