"""The sections of the page: figures, and what a reader must know of them."""

from __future__ import annotations

import base64
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hpo.spec.spaces.stored import parse_distribution
from hpo.store.stored_run import StoredRun
from hpo.system.text import single_line
from hpo.trials.metric import ACCURACY, words
from hpo.trials.ranking import Ranked
from hpo.trials.records import TrialRecord
from hpo.views.evaluation import Evaluation, Mistake
from hpo.views.figures import picture_png
from hpo.views.formats import accuracy, duration, number
from hpo.views.page import charts, hyperparameters
from hpo.views.timing import Times

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from optuna.distributions import BaseDistribution

Evaluate = Callable[[TrialRecord], Evaluation]
TRAINING_VALUES = "Training values are measured during the epoch, with dropout and augmentation."
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading."""

    title: str
    note: str = ""
    """What a reader must know."""
    figures: tuple[str, ...] = ()
    """Plotly figures, as JSON."""
    wide: bool = False
    """Whether the figures need more width than a phone has."""
    classes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Precision, recall, F1 and images of each class."""
    mistakes: Sequence[tuple[str, Mistake]] = ()
    """Pictures, as data URIs, of misclassified images."""
    picture: str = ""
    """A picture as wide as the page, as a data URI."""

    @property
    def anchor(self) -> str:
        """What a link on the page leads to."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


def sections(
    run: StoredRun, ranked: Sequence[Ranked], shown: Sequence[Ranked], evaluate: Evaluate
) -> Iterator[Section]:
    usable = [item for item in shown if item.record.usable]
    if not usable:
        yield Section("Figures", "No trial has a validation score: there is nothing to draw.")
        return
    records = [item.record for item in ranked]
    in_page = [item.record for item in shown]
    half = "The plot is zoomed to the better half; double-click it to see all." if len(usable) > 1 else ""
    places = places_of(run)
    marked = {item.record.trial_id for item in shown}
    histories = [partial(charts.history, run.records, marked, places, by_time=by_time) for by_time in (False, True)]
    yield drawn("Best so far", half, histories if len(run.records) > 1 else [])
    title = f"{metric_of(records).capitalize()}, parameters and time"
    yield drawn(title, half, [lambda: charts.pareto(shown)])
    most = f"The plot shows the best {charts.MAX_CURVES} trials. " if len(usable) > charts.MAX_CURVES else ""
    dimmed = f"{most}Trials that were stopped early are dimmed. {half}"
    yield drawn("Learning curves", dimmed, [lambda: charts.curves(shown)])
    winner = usable[0].record
    note = f"The dotted line is the best epoch. {TRAINING_VALUES}"
    both = [partial(charts.training, winner.curve, winner.metric, loss=loss) for loss in (False, True)]
    yield drawn("Training of the winner", note, both if winner.curve else [])
    for model in dict.fromkeys(record.model for record in in_page):
        of_model = [record for record in in_page if record.model == model]
        yield from _hyperparameters(model, of_model, _space(run, model))
    yield _confusion(winner, evaluate)
    finals_s = sum(session.get("finals_s", 0.0) for session in run.study["sessions"])
    yield drawn("Where the time went", _session_times(run), [lambda: charts.times(records, finals_s)])


def _space(run: StoredRun, model: str) -> dict[str, BaseDistribution]:
    """What the run searched for an architecture; nothing where study.json is of another version or damaged."""
    try:
        stored = run.study["models"][model]["space"]
        return {key: parse_distribution(text) for key, text in stored.items()}
    except (KeyError, ValueError, AttributeError):
        return {}


def _hyperparameters(
    model: str, records: Sequence[TrialRecord], space: Mapping[str, BaseDistribution]
) -> Iterator[Section]:
    title, note, metric = f"Hyperparameters of {model}", "", metric_of(records)
    draws: list[Callable[..., go.Figure]] = [
        hyperparameters.importances,
        partial(hyperparameters.parallel, metric=metric),
        partial(hyperparameters.slices, metric=metric),
    ]
    epoch = hyperparameters.common_epoch(records)
    if epoch is None:
        note = f"Importances need at least {hyperparameters.MIN_TRIALS} trials with a value."
        epoch, draws = hyperparameters.common_epoch(records, enough=max(2, len(records) // 2)), draws[1:]
    if epoch is None:
        yield Section(title, note)
        return
    study = hyperparameters.study_at(records, epoch, space)
    if not study.trials[0].params:
        yield Section(title, "All trials have the same hyperparameters.")
        return
    said = f"Trials are compared by their {metric} at epoch {epoch}, which {len(study.trials)} trials reached. {note}"
    yield replace(drawn(title, said, [partial(draw, study) for draw in draws]), wide=True)


def _confusion(winner: TrialRecord, evaluate: Evaluate) -> Section:
    said = "The winner was chosen by its {metric} on these {images} validation images: {value}."
    return confusion("Confusion matrix of the winner", said, winner, evaluate)


def confusion(title: str, said: str, record: TrialRecord, evaluate: Evaluate) -> Section:
    """A network's mistakes on the validation split; the test split stays sealed.

    said: what the section says of {metric}, {images} and {value}.
    """
    try:
        evaluation = evaluate(record)
    except (ValueError, OSError, RuntimeError) as error:
        return Section(title, f"This could not be drawn: {single_line(str(error))}")
    images = number(evaluation.report["overall"]["num_samples"])
    said = said.format(metric=metric_of([record]), images=images, value=accuracy(record.value))
    classes, matrix = evaluation.report["class"], evaluation.report["confusion_matrix"]
    note = f"{said} The pictures are its most confident mistakes."
    made = drawn(title, note, [lambda: charts.confusion(matrix, list(classes))])
    return replace(made, classes=classes, mistakes=_mistakes(evaluation))


def _mistakes(evaluation: Evaluation) -> list[tuple[str, Mistake]]:
    images, mistakes = evaluation.wrong
    return list(zip((data_uri(picture_png(image)) for image in images), mistakes, strict=False))


def data_uri(png: bytes) -> str:
    """A picture inside the page."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _times(run: StoredRun) -> Times | None:
    """Where the time of the last session that measured it went."""
    measured = [session["times"] for session in run.study["sessions"] if session.get("times")]
    return Times(**measured[-1]) if measured else None


def places_of(run: StoredRun) -> int:
    """How many trials the last session had at once."""
    times = _times(run)
    return times.places if times else 1


def _session_times(run: StoredRun) -> str:
    """How the last session that measured it spent its time."""
    times = _times(run)
    if times is None:
        return ""
    return f"The search took {duration(times.elapsed_s)}, with {times.places} trial slots: {times.words()}."


def metric_of(records: Sequence[TrialRecord]) -> str:
    return words(records[0].metric if records else ACCURACY)


def drawn(title: str, note: str, makes: Sequence[Callable[[], go.Figure]]) -> Section:
    """Makes a section with these figures. A figure that cannot be drawn is named in the note, and costs no other."""
    figures, failed = [], []
    for make in makes:
        try:
            figures.append(_json(make))
        except Exception as error:
            logger.exception("a figure of %r could not be drawn", title)
            failed.append(f"A figure could not be drawn: {single_line(str(error))[:200]}.")
    return Section(title, " ".join([note, *failed]), tuple(figures))


def _json(make: Callable[[], go.Figure]) -> str:
    """The figure as JSON, safe inside a script element."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        figure = make()
    figure.update_layout(template=None, title=None)
    return json.dumps(json.loads(figure.to_json())).replace("<", "\\u003c")
