"""The figures of a report, made with plotly. Pure: records in, figures out.

A mark or a line of a trial has the trial's id as `customdata` or `meta`: the page marks them when a row is clicked.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from html import escape
from itertools import accumulate, cycle
from typing import Any

import plotly
import plotly.graph_objects as go

from hpo.trials.metric import ACCURACY, score_of, value_of, words
from hpo.trials.ranking import Ranked
from hpo.trials.records import TrialRecord, TrialState
from hpo.views.formats import accuracy, hyperparameter, number, seconds
from trainers.config import LOWER_IS_BETTER

MAX_CURVES = 300
_TIME = "seconds of training and evaluation"
_SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "pentagon", "hexagon", "bowtie")
SCALE = [[0.0, "#4f9dff"], [0.5, "#a06be0"], [1.0, "#e0a030"]]  # visible on white and on black
_COLOURS = plotly.colors.qualitative.D3
_MISTAKES = [[0.0, "rgba(224, 80, 60, 0)"], [1.0, "rgba(224, 80, 60, 0.9)"]]  # over the page's own colour


def history(records: Sequence[TrialRecord], shown: Collection[str], places: int, *, by_time: bool) -> go.Figure:
    """Plots the metric of each trial, in the order in which they finished, and the best one so far as a line.

    shown: the ids of trials that get a mark. by_time: over the seconds that all trials before it took, shared among
    `places` at once, and not over their number. The first view shows the better half.
    """
    at = _ends(records, places, by_time)
    marked = [(x, r) for x, r in zip(at, records, strict=True) if r.usable and r.trial_id in shown]
    figure = go.Figure()
    for name, symbol, is_whole in (("trained to the end", "circle", True), ("stopped early", "x", False)):
        of_kind = [(x, record) for x, record in marked if (record.state == TrialState.COMPLETED) == is_whole]
        figure.add_scatter(
            x=[x for x, _ in of_kind],
            y=[record.value for _, record in of_kind],
            text=[_hover_text(record) for _, record in of_kind],
            customdata=[record.trial_id for _, record in of_kind],
            hovertemplate="%{text}<extra></extra>",
            mode="markers",
            name=name,
            opacity=1 if is_whole else 0.6,
            marker={"symbol": symbol, "size": 7, "color": _COLOURS[0] if is_whole else "#8a939d"},
        )
    steps = _best_so_far(list(zip(at, records, strict=True)))
    metric = records[0].metric if records else ACCURACY
    figure.add_scatter(
        x=[x for x, _ in steps],
        y=[value_of(metric, score) for _, score in steps],
        mode="lines",
        line={"shape": "hv", "width": 2, "color": _COLOURS[2]},
        name="best so far",
        hoverinfo="skip",
    )
    figure.update_xaxes(title=_TIME if by_time else "trials finished", rangemode="tozero")
    figure.update_yaxes(title=f"validation {escape(words(metric))}", range=_range_of_better_half(_usable(records)))
    return figure


def histories(runs: Mapping[str, Sequence[TrialRecord]], places: Mapping[str, int], *, by_time: bool) -> go.Figure:
    """Plots the best value so far of each run, as `history` does for one. runs: the trials of each, by its name."""
    figure = go.Figure()
    for name, records in runs.items():
        steps = _best_so_far(list(zip(_ends(records, places[name], by_time), records, strict=True)))
        figure.add_scatter(
            x=[x for x, _ in steps],
            y=[value_of(records[0].metric, score) for _, score in steps],
            mode="lines",
            line={"shape": "hv", "width": 2},
            name=escape(name),
            hovertemplate="%{fullData.name}: %{y:.4f}<extra></extra>",
        )
    every = [record for records in runs.values() for record in records]
    figure.update_xaxes(title=_TIME if by_time else "trials finished", rangemode="tozero")
    figure.update_yaxes(title=f"validation {_metric(every)}", range=_range_of_better_half(_usable(every)))
    return figure


def _ends(records: Sequence[TrialRecord], places: int, by_time: bool) -> list[float]:
    """Where each trial stands: after how many trials, or after how many seconds of training and evaluation."""
    if not by_time:
        return [float(number) for number in range(1, len(records) + 1)]
    return list(accumulate((record.share_s or record.wall_time_s) / places for record in records))


def _best_so_far(records: Sequence[tuple[float, TrialRecord]]) -> list[tuple[float, float]]:
    """Where the best score rose, and the end."""
    steps: list[tuple[float, float]] = []
    for x, record in records:
        if record.usable and record.score is not None and (not steps or record.score > steps[-1][1]):
            steps.append((x, record.score))
    return [*steps, (records[-1][0], steps[-1][1])] if steps else []


def pareto(ranked: Sequence[Ranked]) -> go.Figure:
    """Plots the metric over parameters, or over time where all networks are equally large, one mark per trial, with a
    line along the front of the two.

    The first view shows the better half of the trials: weak ones would press the good ones together.
    """
    usable = [item.record for item in ranked if item.record.usable]
    by_size = len({record.parameters for record in usable}) > 1
    cost = {record.trial_id: record.parameters if by_size else record.wall_time_s for record in usable}
    figure = go.Figure()
    for model, symbol in zip(dict.fromkeys(record.model for record in usable), cycle(_SYMBOLS), strict=False):
        of_model = [record for record in usable if record.model == model]
        colour = {"color": [record.wall_time_s for record in of_model], "coloraxis": "coloraxis"} if by_size else {}
        figure.add_scatter(
            x=[cost[record.trial_id] for record in of_model],
            y=[record.value for record in of_model],
            text=[_hover_text(record) for record in of_model],
            customdata=[record.trial_id for record in of_model],
            hovertemplate="%{text}<extra></extra>",
            mode="markers",
            name=escape(model),
            marker={"size": 8, "symbol": symbol, **colour},
        )
    # Of trials that were stopped, the accuracy and the time are not those of the configuration.
    whole = [record for record in usable if record.state == TrialState.COMPLETED] or usable
    front, best = [], -math.inf
    for record in sorted(whole, key=lambda r: (cost[r.trial_id], -(r.score or 0.0))):
        if record.score is not None and record.score > best:
            best = record.score
            front.append(record)
    against = "parameters" if by_size else "time"
    figure.add_scatter(
        x=[cost[record.trial_id] for record in front],
        y=[record.value for record in front],
        mode="lines",
        line={"shape": "hv", "dash": "dot"},
        name=f"Pareto front ({_metric(usable)}, {against})",
        hoverinfo="skip",
    )
    figure.update_layout(coloraxis={"colorbar": {"title": "seconds", "thickness": 12}, "colorscale": SCALE})
    if by_size:
        figure.update_xaxes(title="parameters", type="log", dtick="D2", tickformat="~s")
    else:
        figure.update_xaxes(title="seconds per trial")
    figure.update_yaxes(title=f"validation {_metric(usable)}", range=_range_of_better_half(usable))
    return figure


def curves(ranked: Sequence[Ranked]) -> go.Figure:
    """Plots the metric over the epochs, one line per trial. Trials that were not completed are dimmed.

    The first view leaves out the first epochs of weak trials: it begins at the median of the first values of the better
    half.
    """
    shown = [item.record for item in ranked if item.record.curve][:MAX_CURVES]
    colours = dict(zip(dict.fromkeys(record.model for record in shown), cycle(_COLOURS), strict=False))
    figure = go.Figure()
    for model, colour in colours.items():  # empty lines, for the legend
        figure.add_scatter(x=[None], y=[None], mode="lines", name=escape(model), line={"color": colour})
    for record in reversed(shown):  # the best trial is drawn last, on top
        stopped = record.state != TrialState.COMPLETED
        figure.add_scatter(
            x=list(record.scores),
            y=[value_of(record.metric, score) for score in record.scores.values()],
            mode="lines+markers" if len(record.curve) == 1 else "lines",
            opacity=0.25 if stopped else 0.9,
            line={"width": 3 if record is shown[0] else 1.3, "color": colours[record.model]},
            name=escape(f"{record.trial_id} ({record.state.value})"),
            text=_hover_text(record),
            hovertemplate="epoch %{x}: %{y:.4f}<br>%{text}<extra></extra>",
            meta=record.trial_id,
            showlegend=False,
        )
    figure.update_xaxes(title="epoch", dtick=1 if max((len(r.curve) for r in shown), default=0) <= 20 else None)
    figure.update_yaxes(title=f"validation {_metric(shown)}", range=_range_of_curves(shown))
    if shown and shown[0].metric not in LOWER_IS_BETTER:
        figure.update_layout(meta={"error": f"1 - validation {_metric(shown)}"})  # the page offers this axis, too
    return figure


def training(curve: Sequence[Mapping[str, Any]], metric: str, *, loss: bool) -> go.Figure:
    """Plots the loss of one training over its epochs, or else its accuracy, and the metric where that is another.

    curve: the epochs as rows of curves.csv. A dotted line marks the best one.
    """
    epochs = [row["epoch"] for row in curve]
    name = "loss" if loss else "accuracy"
    lines = {f"{word} {name}": [row.get(f"{part}_{name}") for row in curve] for part, word in _PARTS.items()}
    if not loss and metric != ACCURACY:
        lines[f"validation {words(metric)}"] = [value_of(metric, score_of(row)) for row in curve]
    figure = go.Figure()
    for (label, values), colour in zip(lines.items(), _COLOURS, strict=False):
        shown = [value if value is not None and math.isfinite(value) else None for value in values]
        mode = "lines+markers" if len(epochs) <= 30 else "lines"
        figure.add_scatter(x=epochs, y=shown, mode=mode, name=escape(label), line={"color": colour})
    scores = [(score, -row["epoch"]) for row in curve if (score := score_of(row)) is not None and math.isfinite(score)]
    if scores:
        figure.add_vline(x=-max(scores)[1], line={"dash": "dot", "width": 1.5, "color": "#8a939d"})
    figure.update_xaxes(title="epoch", dtick=1 if len(epochs) <= 20 else None)
    figure.update_yaxes(title="nats per image" if loss else name)
    return figure


_PARTS = {"train": "training", "val": "validation"}


def times(records: Sequence[TrialRecord], finals_s: float = 0.0) -> go.Figure:
    """Plots the seconds of all trials together, by activity, one bar per architecture, and one for the finals."""
    models = list(dict.fromkeys(record.model for record in records))
    figure = go.Figure()
    for name, column, colour in (
        ("training", "train_s", _COLOURS[0]),
        ("evaluation", "eval_s", _COLOURS[1]),
        ("setup", "setup_s", _COLOURS[2]),
        ("waiting for a worker", "queue_s", "#8a939d"),
    ):
        sums = [sum(getattr(record, column) for record in records if record.model == model) for model in models]
        figure.add_bar(
            y=[escape(model) for model in models], x=sums, name=name, orientation="h", marker={"color": colour}
        )
    if finals_s:
        whole = {"name": "finals, from start to end", "marker": {"color": _COLOURS[4]}}
        figure.add_bar(y=["finals"], x=[finals_s], orientation="h", **whole)
    figure.update_layout(barmode="stack", height=140 + 40 * (len(models) + bool(finals_s)))
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(title="seconds, all trials together")
    return figure


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> go.Figure:
    """Plots a confusion matrix: true classes as rows, predicted ones as columns, with counts. The colour is the share
    of the row; that of right answers is left out, because it would outshine all mistakes."""
    wrong = [
        [None if i == j else count / max(sum(row), 1) for j, count in enumerate(row)] for i, row in enumerate(matrix)
    ]
    names = [escape(name) for name in classes]
    text = [[str(count) if count else "" for count in row] for row in matrix] if len(classes) <= 30 else None
    figure = go.Figure(
        go.Heatmap(
            z=wrong, x=names, y=names, text=text, texttemplate="%{text}", customdata=matrix, colorscale=_MISTAKES,
            zmin=0, zmax=max([0.01, *(share or 0.0 for row in wrong for share in row)]), xgap=2, ygap=2,
            hovertemplate="true %{y}, predicted %{x}: %{customdata} images<extra></extra>",
            colorbar={"title": "share of<br>true class", "tickformat": ".0%", "thickness": 12},
        )
    )  # fmt: skip
    side = 180 + 38 * min(max(len(classes), 4), 16)
    figure.update_xaxes(title="predicted class", type="category", showgrid=False, constrain="domain")
    figure.update_yaxes(title="true class", type="category", autorange="reversed", showgrid=False, scaleanchor="x")
    figure.update_layout(height=side)
    return figure


def _usable(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    return [record for record in records if record.usable]


def _metric(records: Sequence[TrialRecord]) -> str:
    return escape(words(records[0].metric if records else ACCURACY))


def _range_of_better_half(usable: Sequence[TrialRecord]) -> list[float] | None:
    best_first = sorted(usable, key=lambda record: record.score or 0.0, reverse=True)
    if not best_first:
        return None
    middle = best_first[len(best_first) // 2]
    return _between(best_first[0].value or 0.0, middle.value or 0.0)


def _range_of_curves(ranked: Sequence[TrialRecord]) -> list[float] | None:
    """From the median of the first values of the better half to the best value of all."""
    better = [record for record in _usable(ranked) if record.curve][: max(1, len(ranked) // 2)]
    first = sorted(score for record in better if (score := record.scores[record.curve[0]["epoch"]]) is not None)
    best = max((score for r in better for score in r.scores.values() if score is not None), default=None)
    if not first or best is None:
        return None
    metric, middle = better[0].metric, first[len(first) // 2]
    return _between(value_of(metric, best) or 0.0, value_of(metric, middle) or 0.0)


def _between(one: float, other: float) -> list[float]:
    """The range of an axis with both values, and a margin."""
    low, high = sorted((one, other))
    margin = max(0.0005, (high - low) / 20)
    return [low - margin, high + margin]


def _hover_text(record: TrialRecord) -> str:
    config = "<br>".join(f"{escape(key)}: {escape(hyperparameter(value))}" for key, value in record.config.items())
    return (
        f"<b>{escape(record.trial_id)}</b>, {record.state.value}<br>"
        f"{escape(words(record.metric))} {accuracy(record.value)}<br>"
        f"{number(record.parameters)} parameters, {seconds(record.wall_time_s)}<br>{config}"
    )
