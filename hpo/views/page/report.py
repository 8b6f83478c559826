"""report.html: a run on one page, which opens offline and loads nothing from the network."""

from __future__ import annotations

import base64
import gzip
import json
import logging
import random
import shlex
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.store.stored_run import StoredRun
from hpo.system.files import write_atomically
from hpo.system.text import single_line
from hpo.trials.metric import ACCURACY, words
from hpo.trials.ranking import Ranked
from hpo.trials.records import TrialRecord
from hpo.views import formats
from hpo.views.evaluation import Evaluation
from hpo.views.figures import sheet_png
from hpo.views.formats import accuracy, duration, number
from hpo.views.page import charts
from hpo.views.tables import differing_keys, shared_line
from hpo.views.timing import Times

if TYPE_CHECKING:
    import plotly.graph_objects as go


_MOST_COUNTS, _COUNTED = 20, " (training + validation)"
logger = logging.getLogger(__name__)
MAX_ROWS = 1000  # in the table of trials; with ten thousand the page opens slowly
_SAMPLE_SEED = 0
Evaluate = Callable[[TrialRecord], Evaluation]


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading."""

    title: str
    note: str = ""
    """What a reader must know."""
    figures: tuple[str, ...] = ()
    """Plotly figures, as JSON."""
    picture: str = ""
    """A PNG, as a data URI."""
    wide: bool = False
    """Whether the figures need more width than a phone has."""


def write_report(run: StoredRun, path: Path, evaluate: Evaluate) -> None:
    """Writes the page of a run, whole or not at all. Raises OSError.

    `evaluate` runs a trial's network on the validation split. What cannot be drawn, because no trial is usable or the
    data set is missing, is named on the page.
    """
    write_atomically(path, render(run, evaluate))


def render(run: StoredRun, evaluate: Evaluate) -> str:
    """The page, as HTML."""
    from jinja2 import Environment, FileSystemLoader
    from plotly.offline import get_plotlyjs

    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)
    ranked = run.ranked()
    shown = sample(ranked)
    return environment.get_template("report.html.j2").render(
        run=run,
        head=list(_head(run)),
        finalists=run.finalists(),
        best=_best_of_each(ranked),
        rungs=run.rungs(),
        ranked=shown,
        left_out=len(ranked) - len(shown),
        config_keys=sorted(differing_keys(run.records)),
        in_common=shared_line(run.records),
        sections=list(_sections(run, ranked, shown, evaluate)),
        provenance=list(_provenance(run)),
        plotly=base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode(),
        formats=formats,
        metric=_metric(run.records),
    )


def sample(ranked: Sequence[Ranked]) -> list[Ranked]:
    """All trials; of more than `MAX_ROWS`, half that many of the best and the same number of the others, at random."""
    if len(ranked) <= MAX_ROWS:
        return list(ranked)
    best, rest = ranked[: MAX_ROWS // 2], ranked[MAX_ROWS // 2 :]
    drawn = random.Random(_SAMPLE_SEED).sample(range(len(rest)), MAX_ROWS - len(best))
    return [*best, *(rest[at] for at in sorted(drawn))]


def _head(run: StoredRun) -> Iterator[tuple[str, str]]:
    study, data = run.study, run.study["data"]
    sizes = data["sizes"]
    yield "state", study["state"]
    yield (
        "architectures",
        ", ".join(f"{name} ({number(m['parameters'])} parameters)" for name, m in study["models"].items()),
    )
    states = study.get("trials", {})
    yield "trials", ", ".join(f"{count} {state}" for state, count in states.items()) or "none has finished"
    train, validation, test = (number(sizes[split]) for split in ("train", "validation", "test"))
    yield "data", f"{data['name']}: {train} training, {validation} validation and {test} test images"
    if "class_counts" in data:
        yield "images of each class", _class_counts(data)
    if data["notice"]:
        yield "note", data["notice"]


def _class_counts(data: dict[str, Any]) -> str:
    """ "cat 96 + 24, dog 12 + 3 (training + validation)", the fewest first; of many classes the first and the last."""
    counts = data["class_counts"]
    fewest_first = sorted(zip(counts["train"], counts["validation"], data["classes"], strict=True))
    words = [f"{name} {number(train)} + {number(validation)}" for train, validation, name in fewest_first]
    half = _MOST_COUNTS // 2
    return ", ".join(words if len(words) <= _MOST_COUNTS else [*words[:half], "...", *words[-half:]]) + _COUNTED


def _best_of_each(ranked: Sequence[Ranked]) -> list[Ranked]:
    """The best trial of each architecture: the leaderboard of a run without finals."""
    best: dict[str, Ranked] = {}
    for item in ranked:
        best.setdefault(item.record.model, item)
    return list(best.values())


def _sections(
    run: StoredRun, ranked: Sequence[Ranked], shown: Sequence[Ranked], evaluate: Evaluate
) -> Iterator[Section]:
    usable = [item for item in shown if item.record.usable]
    if not usable:
        yield Section("Figures", "No trial has a validation score: there is nothing to draw.")
        return
    records = [item.record for item in ranked]
    drawn = [item.record for item in shown]
    half = "The plot shows the better half of the trials. Double-click it to see all." if len(usable) > 1 else ""
    title = f"{_metric(records).capitalize()}, parameters and time"
    yield _drawn(title, half, [lambda: charts.pareto(shown)])
    most = f"The plot shows the best {charts.MAX_CURVES} trials. " if len(usable) > charts.MAX_CURVES else ""
    dimmed = f"{most}Trials that were stopped early are dimmed."
    yield _drawn("Learning curves", dimmed, [lambda: charts.curves(shown)])
    for model in dict.fromkeys(record.model for record in drawn):
        yield from _hyperparameters(model, [record for record in drawn if record.model == model])
    yield _confusion(usable[0].record, evaluate)
    yield _drawn("Where the time went", _session_times(run), [lambda: charts.times(records)])


def _hyperparameters(model: str, records: Sequence[TrialRecord]) -> Iterator[Section]:
    title, note, metric = f"Hyperparameters of {model}", "", _metric(records)
    drawn: list[Callable[..., go.Figure]] = [
        charts.importances,
        partial(charts.parallel, metric=metric),
        partial(charts.slices, metric=metric),
    ]
    epoch = charts.common_epoch(records)
    if epoch is None:
        note = f"Importances need at least {charts.MIN_TRIALS} trials with a value."
        epoch, drawn = charts.common_epoch(records, enough=max(2, len(records) // 2)), drawn[1:]
    if epoch is None:
        yield Section(title, note)
        return
    study = charts.study_at(records, epoch)
    if not study.trials[0].params:
        yield Section(title, "All trials have the same hyperparameters.")
        return
    said = f"Trials are compared by their {metric} at epoch {epoch}, which {len(study.trials)} trials reached. {note}"
    yield replace(_drawn(title, said, [partial(draw, study) for draw in drawn]), wide=True)


def _confusion(winner: TrialRecord, evaluate: Evaluate) -> Section:
    """The winner's mistakes on the validation split; the test split stays sealed."""
    title = "Mistakes of the winner"
    try:
        evaluation = evaluate(winner)
    except (ValueError, OSError, RuntimeError) as error:
        return Section(title, f"This could not be drawn: {single_line(str(error))}")
    images = number(evaluation.report["overall"]["num_samples"])
    note = (
        f"The winner was chosen by its {_metric([winner])} on these {images} validation images: "
        f"{accuracy(winner.value)}. The pictures show its most confident mistakes: "
        "true class > predicted class."
    )
    classes = list(evaluation.report["class"])
    drawn = _drawn(title, note, [lambda: charts.confusion(evaluation.report["confusion_matrix"], classes)])
    return replace(drawn, picture=_picture(evaluation))


def _metric(records: Sequence[TrialRecord]) -> str:
    return words(records[0].metric if records else ACCURACY)


def _picture(evaluation: Evaluation) -> str:

    images, captions = evaluation.wrong
    if not captions:
        return ""
    return f"data:image/png;base64,{base64.b64encode(sheet_png('', images, captions)).decode()}"


def _session_times(run: StoredRun) -> str:
    """How the last session that measured it spent its time."""

    measured = [session["times"] for session in run.study["sessions"] if session.get("times")]
    if not measured:
        return ""
    times = Times(**measured[-1])
    return f"The session took {duration(times.elapsed_s)}, with {times.places} trial slots: {times.words()}."


def _provenance(run: StoredRun) -> Iterator[tuple[str, str]]:
    study = run.study
    yield "command", command(run.spec)
    yield "run", study.get("id", "")
    for session in study["sessions"]:
        yield "session", f"{session['started']} to {session.get('ended', '?')} on {session['host']}"
    yield "machine", ", ".join(str(value) for value in study["machine"].values())
    yield "versions", ", ".join(f"{name} {version}" for name, version in study["versions"].items())
    yield "commit", str(study.get("commit") or "unknown")
    for part, sha in study["data"]["hashes"].items():
        yield f"SHA-256 of the {part} split", sha
    for name, model in study["models"].items():
        yield f"space of {name}", "; ".join(f"{key}: {text}" for key, text in model["space"].items())


def command(spec: dict[str, Any]) -> str:
    """The command line that starts a new run with the spec of a study.json.

    --resume and --quiet are left out. So are the spaces of a --config file, which have no flags; the page shows them.
    """
    words = ["python", "hpo/run.py"]
    for key, value in spec.items():
        if key in ("space", "resume", "quiet"):
            continue
        words.append(f"--{key.replace('_', '-')}")
        words += [] if value is True else [str(each) for each in (value if isinstance(value, list) else [value])]
    return shlex.join(words)


def _drawn(title: str, note: str, makes: Sequence[Callable[[], go.Figure]]) -> Section:
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
