"""The figures of an architecture's hyperparameters, made with plotly and Optuna. Pure: records in, figures out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
import plotly
import plotly.graph_objects as go
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from hpo.store.database.study_db import quiet_optuna
from hpo.trials.metric import ACCURACY, score_of, value_of
from hpo.trials.records import TrialRecord
from hpo.views.page.charts import SCALE
from trainers.config import LOWER_IS_BETTER

if TYPE_CHECKING:
    from optuna import Study

RESAMPLES = 5
SHADES = 12  # of lines
MIN_TRIALS = 10  # fewer say nothing about which hyperparameters matter


def common_epoch(records: Sequence[TrialRecord], enough: int = MIN_TRIALS) -> int | None:
    """Finds the highest epoch that at least `enough` trials reached; None when there is none.

    Trials are compared at this epoch: after early stopping, a trial of one epoch cannot be compared with one of ten.
    """
    reached = sorted((_finite_epochs(record) for record in records), reverse=True)
    return reached[enough - 1] or None if len(reached) >= enough else None


def study_at(records: Sequence[TrialRecord], epoch: int, space: Mapping[str, BaseDistribution]) -> Study:
    """Makes an Optuna study, in memory, of the trials that reached this epoch, with their metric at it, in the order of
    their numbers. space: what was searched; it says which axes are logarithmic, and the order of choices."""
    taken = sorted((record for record in records if _finite_epochs(record) >= epoch), key=lambda record: record.number)
    distributions = _distributions(taken, space)
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
    """Plots how much of the metric's variance each hyperparameter explains (fANOVA: Hutter et al., 2014): the mean and
    the standard deviation over resamples of the trials.

    The trees are fewer and less deep than Optuna's defaults, which take half a minute for a thousand trials, with the
    same result.
    """
    samples = [_importances(one, seed) for seed, one in enumerate(_resamples(study))]
    of = {name: [sample.get(name, 0.0) for sample in samples] for name in samples[0]}
    names = sorted(of, key=lambda name: float(np.mean(of[name])))
    figure = go.Figure(
        go.Bar(
            x=[float(np.mean(of[name])) for name in names],
            y=[escape(name) for name in names],
            error_x={"type": "data", "array": [float(np.std(of[name], ddof=1)) for name in names], "color": "#8a939d"},
            orientation="h",
        )
    )
    figure.update_xaxes(title="importance: mean and standard deviation over resampled trials", range=[0, 1])
    figure.update_layout(height=120 + 32 * len(names))
    return figure


def _importances(study: Study, seed: int) -> dict[str, float]:
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(n_trees=8, max_depth=6, seed=seed))


def _resamples(study: Study) -> list[Study]:
    """The study with as many of its trials, drawn with replacement, each time."""
    trials, made = study.trials, []
    for seed in range(RESAMPLES):
        drawn = np.random.default_rng(seed).integers(len(trials), size=len(trials))
        with quiet_optuna():
            made.append(optuna.create_study(direction=study.direction))
        made[-1].add_trials([trials[at] for at in drawn])
    return made


def parallel(study: Study, metric: str = ACCURACY) -> go.Figure:
    """Plots one line per trial through all its hyperparameters, coloured by its metric, which is the first axis."""
    trials = study.trials
    distributions = trials[0].distributions
    values = [float(trial.values[0]) for trial in trials]
    scale = FloatDistribution(min(values), max(values) if max(values) > min(values) else min(values) + 1)
    axes: dict[str, BaseDistribution] = {metric: scale, **distributions}
    lines = [
        [_place(scale, value), *(_place(d, trial.params[name]) for name, d in distributions.items())]
        for trial, value in zip(trials, values, strict=True)
    ]
    figure = go.Figure()
    # A trace for each shade and not for each trial: a thousand traces are slow to draw.
    for shade in range(SHADES):
        of_shade = [line for line in lines if min(int(line[0] * SHADES), SHADES - 1) == shade]
        (colour,) = plotly.colors.sample_colorscale(SCALE, (shade + 0.5) / SHADES)
        figure.add_scatter(
            x=[x for _ in of_shade for x in (*range(len(axes)), None)],
            y=[y for line in of_shade for y in (*line, None)],
            mode="lines",
            line={"color": colour, "width": 1.3},
            hoverinfo="skip",
            showlegend=False,
        )
    for at, distribution in enumerate(axes.values()):
        figure.add_shape(type="line", x0=at, x1=at, y0=0, y1=1, line={"color": "#8a939d", "width": 1})
        for place, text in _ticks(distribution):
            figure.add_annotation(x=at, y=place, text=text, showarrow=False, xanchor="right", xshift=-4)
    figure.update_xaxes(
        tickvals=list(range(len(axes))), ticktext=[escape(name) for name in axes], showgrid=False, zeroline=False
    )
    figure.update_yaxes(visible=False, range=[-0.05, 1.05])
    return figure


def slices(study: Study, metric: str = ACCURACY) -> go.Figure:
    """Plots the metric over each hyperparameter, coloured by the number of the trial: where the search went."""
    from plotly.subplots import make_subplots

    trials, distributions = study.trials, study.trials[0].distributions
    figure = make_subplots(rows=1, cols=len(distributions), shared_yaxes=True, horizontal_spacing=0.02)
    for column, (name, distribution) in enumerate(distributions.items(), start=1):
        is_choice = isinstance(distribution, CategoricalDistribution)
        values = [trial.params[name] for trial in trials]
        figure.add_scatter(
            x=[str(value) for value in values] if is_choice else values,
            y=[trial.values[0] for trial in trials],
            mode="markers",
            marker={"color": [trial.number for trial in trials], "coloraxis": "coloraxis", "size": 7},
            hovertemplate=f"{escape(name)} %{{x}}: %{{y:.4f}}, trial %{{marker.color}}<extra></extra>",
            showlegend=False,
            row=1,
            col=column,
        )
        axis: dict[str, Any] = {"title": escape(name)}
        if isinstance(distribution, CategoricalDistribution):
            axis |= {"type": "category", "categoryarray": [str(choice) for choice in distribution.choices]}
        elif getattr(distribution, "log", False):
            axis |= {"type": "log", "nticks": 5}
        figure.update_xaxes(**axis, row=1, col=column)
    figure.update_yaxes(title=escape(metric), row=1, col=1)
    figure.update_layout(coloraxis={"colorscale": SCALE, "colorbar": {"title": "trial", "thickness": 12}})
    return figure


def _place(distribution: BaseDistribution, value: Any) -> float:
    """Where a value is on its axis, in [0, 1]."""
    if isinstance(distribution, CategoricalDistribution):
        last = len(distribution.choices) - 1
        return distribution.choices.index(value) / last if last else 0.5
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low) if high > low else 0.5


def _ticks(distribution: BaseDistribution) -> list[tuple[float, str]]:
    """Places on an axis, and what is there: every choice, or both ends and the middle."""
    if isinstance(distribution, CategoricalDistribution):
        return [(_place(distribution, choice), str(choice)) for choice in distribution.choices]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = float(distribution.low), float(distribution.high)
    middle = math.sqrt(low * high) if distribution.log else (low + high) / 2
    return [(place, f"{value:.3g}") for place, value in ((0.0, low), (0.5, middle), (1.0, high))]


def _finite_epochs(record: TrialRecord) -> int:
    """Counts the epochs before the first one whose score is missing or not finite."""
    for index, score in enumerate(record.scores.values()):
        if score is None or not math.isfinite(score):
            return index
    return len(record.curve)


def _distributions(
    records: Sequence[TrialRecord], space: Mapping[str, BaseDistribution]
) -> dict[str, BaseDistribution]:
    """The distributions of the hyperparameters that all trials have and that differ: those of the space, or what their
    values look like."""
    keys = set.intersection(*(set(record.config) for record in records)) if records else set()
    values = {key: [record.config[key] for record in records] for key in sorted(keys)}
    return {key: _of_space(space.get(key), each) for key, each in values.items() if len(set(each)) > 1}


def _of_space(searched: BaseDistribution | None, values: Sequence[Any]) -> BaseDistribution:
    """The distribution that was searched, with its choices as labels, where it has all of the values."""
    if isinstance(searched, CategoricalDistribution) and set(values) <= set(searched.choices):
        return CategoricalDistribution([_label(choice) for choice in searched.choices])
    if isinstance(searched, FloatDistribution | IntDistribution) and all(_within(searched, value) for value in values):
        return searched
    return _distribution(values)


def _within(searched: FloatDistribution | IntDistribution, value: Any) -> bool:
    return isinstance(value, int | float) and searched.low <= value <= searched.high


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
