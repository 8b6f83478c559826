"""The figures of a report, made with plotly. Pure: records in, figures out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import cycle
from typing import TYPE_CHECKING, Any

import optuna
import plotly
import plotly.graph_objects as go
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from hpo.store.database.study_db import quiet_optuna
from hpo.trials.metric import ACCURACY, score_of, value_of, words
from hpo.trials.ranking import Ranked
from hpo.trials.records import TrialRecord, TrialState
from hpo.views.formats import accuracy, hyperparameter, number, seconds
from trainers.config import LOWER_IS_BETTER

if TYPE_CHECKING:
    from optuna import Study

MIN_TRIALS = 20  # fewer say nothing about which hyperparameters matter
MAX_CURVES = 300
_TREES_SEED = 0
_SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "pentagon", "hexagon", "bowtie")
_SCALE = [[0.0, "#4f9dff"], [0.5, "#a06be0"], [1.0, "#ff5a4f"]]  # visible on white and on black
_COLOURS = plotly.colors.qualitative.D3


def pareto(ranked: Sequence[Ranked]) -> go.Figure:
    """Plots the metric over parameters, one mark per trial, coloured by its time, with a line along the front.

    The first view shows the better half of the trials: weak ones would press the good ones together.
    """
    usable = [item for item in ranked if item.record.usable]
    figure = go.Figure()
    for model, symbol in zip(dict.fromkeys(item.record.model for item in usable), cycle(_SYMBOLS), strict=False):
        of_model = [item for item in usable if item.record.model == model]
        figure.add_scatter(
            x=[item.record.parameters for item in of_model],
            y=[item.record.value for item in of_model],
            text=[_hover_text(item) for item in of_model],
            hovertemplate="%{text}<extra></extra>",
            mode="markers",
            name=escape(model),
            marker={
                "size": [11 if item.pareto else 7 for item in of_model],
                "color": [item.record.wall_time_s for item in of_model],
                "coloraxis": "coloraxis",
                "symbol": symbol,
                "line": {"width": [1.5 if item.pareto else 0 for item in of_model]},
            },
        )
    front = sorted((item.record for item in usable if item.pareto), key=lambda r: (r.parameters, r.score or 0))
    steps, best = [], -math.inf
    for record in front:  # the line is the front of the metric and parameters alone, without time
        if record.score is not None and record.score > best:
            best = record.score
            steps.append(record)
    figure.add_scatter(
        x=[record.parameters for record in steps],
        y=[record.value for record in steps],
        mode="lines",
        line={"shape": "hv", "dash": "dot"},
        name=f"Pareto front ({_metric(usable)}, parameters)",
        hoverinfo="skip",
    )
    figure.update_layout(coloraxis={"colorbar": {"title": "seconds"}, "colorscale": _SCALE})
    figure.update_xaxes(title="parameters", type="log", dtick="D2", tickformat="~s")
    figure.update_yaxes(title=f"validation {_metric(usable)}", range=_range_of_better_half(usable))
    return figure


def curves(ranked: Sequence[Ranked]) -> go.Figure:
    """Plots the metric over the epochs, one line per trial. Trials that were not completed are dimmed."""
    shown = [item for item in ranked if item.record.curve][:MAX_CURVES]
    colours = dict(zip(dict.fromkeys(item.record.model for item in shown), cycle(_COLOURS), strict=False))
    figure = go.Figure()
    for model, colour in colours.items():  # empty lines, for the legend
        figure.add_scatter(x=[None], y=[None], mode="lines", name=escape(model), line={"color": colour})
    for item in reversed(shown):  # the best trial is drawn last, on top
        record = item.record
        stopped = record.state != TrialState.COMPLETED
        figure.add_scatter(
            x=list(record.scores),
            y=[value_of(record.metric, score) for score in record.scores.values()],
            mode="lines+markers" if len(record.curve) == 1 else "lines",
            opacity=0.25 if stopped else 0.9,
            line={"width": 3 if item.rank == 1 else 1.3, "color": colours[record.model]},
            name=escape(f"{record.trial_id} ({record.state.value})"),
            showlegend=False,
        )
    figure.update_xaxes(title="epoch", dtick=1 if max((len(i.record.curve) for i in shown), default=0) <= 20 else None)
    figure.update_yaxes(title=f"validation {_metric(shown)}")
    return figure


def times(records: Sequence[TrialRecord]) -> go.Figure:
    """Plots the seconds of all trials together, by activity, one bar per architecture."""
    models = list(dict.fromkeys(record.model for record in records))
    figure = go.Figure()
    for name, column in (
        ("training", "train_s"),
        ("evaluation", "eval_s"),
        ("setup", "setup_s"),
        ("waiting for a worker", "queue_s"),
    ):
        sums = [sum(getattr(record, column) for record in records if record.model == model) for model in models]
        figure.add_bar(y=[escape(model) for model in models], x=sums, name=name, orientation="h")
    figure.update_layout(barmode="stack", height=140 + 40 * len(models))
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(title="seconds, all trials together")
    return figure


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> go.Figure:
    """Plots a confusion matrix: true classes as rows, predicted ones as columns. Only mistakes are coloured."""
    wrong = [[None if i == j else count for j, count in enumerate(row)] for i, row in enumerate(matrix)]
    names = [escape(name) for name in classes]
    text = [[str(count) if count else "" for count in row] for row in matrix] if len(classes) <= 30 else None
    figure = go.Figure(
        go.Heatmap(
            z=wrong, x=names, y=names, text=text, texttemplate="%{text}", colorscale="Reds", zmin=0, xgap=1, ygap=1
        )
    )
    figure.update_xaxes(title="predicted class", type="category")
    figure.update_yaxes(title="true class", type="category", autorange="reversed")
    figure.update_layout(height=520)
    return figure


def common_epoch(records: Sequence[TrialRecord], enough: int = MIN_TRIALS) -> int | None:
    """Finds the highest epoch that at least `enough` trials reached; None when there is none.

    Trials are compared at this epoch: after early stopping, a trial of one epoch cannot be compared with one of ten.
    """
    reached = sorted((_finite_epochs(record) for record in records), reverse=True)
    return reached[enough - 1] or None if len(reached) >= enough else None


def study_at(records: Sequence[TrialRecord], epoch: int) -> Study:
    """Makes an Optuna study, in memory, of the trials that reached this epoch, with their metric at it."""
    taken = [record for record in records if _finite_epochs(record) >= epoch]
    distributions = _distributions(taken)
    less_is_better = taken[0].metric in LOWER_IS_BETTER
    with quiet_optuna():
        study = optuna.create_study(direction="minimize" if less_is_better else "maximize")
    study.add_trials(
        [
            create_trial(
                params={key: _label(record.config[key]) for key in distributions},
                distributions=distributions,
                value=value_of(record.metric, score_of(record.curve[epoch - 1])),
            )
            for record in taken
        ]
    )
    return study


def importances(study: Study) -> go.Figure:
    """Plots how much of the metric's variance each hyperparameter explains (fANOVA: Hutter et al., 2014).

    The trees are less deep than Optuna's defaults, which take half a minute for a thousand trials, with the same
    result.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(n_trees=32, max_depth=6, seed=_TREES_SEED))
    names = list(found)[::-1]
    figure = go.Figure(go.Bar(x=[found[name] for name in names], y=[escape(name) for name in names], orientation="h"))
    figure.update_xaxes(title="importance", range=[0, 1])
    figure.update_layout(height=120 + 32 * len(names))
    return figure


def parallel(study: Study, metric: str = ACCURACY) -> go.Figure:
    """Plots one line per trial through all its hyperparameters, coloured by its metric, which is the first axis."""
    figure = optuna.visualization.plot_parallel_coordinate(study, target_name=metric)
    for line in figure.select_traces({"mode": "lines"}):
        (line.line.color,) = plotly.colors.sample_colorscale(_SCALE, line.y[0])
    return figure.update_traces(marker={"colorscale": _SCALE, "reversescale": False}, selector={"mode": "markers"})


def slices(study: Study, metric: str = ACCURACY) -> go.Figure:
    """Plots the metric over each hyperparameter."""
    figure = optuna.visualization.plot_slice(study, target_name=metric)
    return figure.update_traces(marker={"colorscale": _SCALE, "line": {"width": 0}})


def _metric(ranked: Sequence[Ranked]) -> str:
    return escape(words(ranked[0].record.metric if ranked else ACCURACY))


def _range_of_better_half(usable: Sequence[Ranked]) -> list[float]:
    best_first = sorted((item.record for item in usable), key=lambda record: record.score or 0.0, reverse=True)
    low, high = sorted(record.value or 0.0 for record in (best_first[0], best_first[len(best_first) // 2]))
    margin = max(0.0005, (high - low) / 20)
    return [low - margin, high + margin]


def _finite_epochs(record: TrialRecord) -> int:
    """Counts the epochs before the first one whose score is missing or not finite."""
    for index, score in enumerate(record.scores.values()):
        if score is None or not math.isfinite(score):
            return index
    return len(record.curve)


def _distributions(records: Sequence[TrialRecord]) -> dict[str, BaseDistribution]:
    """Derives distributions from the values of the hyperparameters that all trials have and that differ."""
    keys = set.intersection(*(set(record.config) for record in records)) if records else set()
    values = {key: [record.config[key] for record in records] for key in sorted(keys)}
    return {key: _distribution(of_key) for key, of_key in values.items() if len(set(of_key)) > 1}


def _distribution(values: Sequence[Any]) -> BaseDistribution:
    choices = sorted(set(values), key=lambda value: (str(type(value)), value))
    if any(isinstance(value, str | bool) or value is None for value in choices):
        return CategoricalDistribution([_label(choice) for choice in choices])
    low, high = min(choices), max(choices)
    log = low > 0 and high / low >= 50
    if all(isinstance(value, int) for value in choices):
        return CategoricalDistribution(choices) if len(choices) <= 6 else IntDistribution(low, high, log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _label(value: Any) -> Any:
    """Escapes texts, which plotly would read as HTML."""
    return escape(value) if isinstance(value, str) else value


def _hover_text(item: Ranked) -> str:
    record = item.record
    config = "<br>".join(f"{escape(key)}: {escape(hyperparameter(value))}" for key, value in record.config.items())
    return (
        f"<b>{escape(record.trial_id)}</b>, rank {item.rank}<br>"
        f"{escape(words(record.metric))} {accuracy(record.value)}<br>"
        f"{number(record.parameters)} parameters, {seconds(record.wall_time_s)}<br>{config}"
    )
