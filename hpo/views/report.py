"""report.html: a run on one page, which opens offline and asks the network for nothing."""

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
from hpo.trials.ranking import Ranked
from hpo.trials.records import TrialRecord
from hpo.views import charts
from hpo.views.evaluation import Evaluation
from hpo.views.progress import duration

if TYPE_CHECKING:
    import plotly.graph_objects as go


logger = logging.getLogger(__name__)
MAX_ROWS = 1000  # of the table of trials; a page of all of ten thousand opens slowly
_SAMPLE_SEED = 0
Evaluate = Callable[[TrialRecord], Evaluation]


@dataclass(frozen=True)
class Section:
    """A headed part of the page. note: what a reader must know. figures: plotly's, as JSON. picture: a PNG's URI. wide:
    its figures need more width than a phone has."""

    title: str
    note: str = ""
    figures: tuple[str, ...] = ()
    picture: str = ""
    wide: bool = False


def write_report(run: StoredRun, path: Path, evaluate: Evaluate) -> None:
    """Writes the page of a run, whole or not at all.

    evaluate: what a trial's network gets right on the validation split. What cannot be drawn (no trial is usable, the
    data set is gone) is said on the page. Raises OSError where the disk does not take it.
    """
    write_atomically(path, render(run, evaluate))


def render(run: StoredRun, evaluate: Evaluate) -> str:
    """The page as text."""
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
        ranked=shown,
        left_out=len(ranked) - len(shown),
        config_keys=sorted({key for item in shown for key in item.record.config}),
        sections=list(_sections(run, ranked, shown, evaluate)),
        provenance=list(_provenance(run)),
        plotly=base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode(),
        short=lambda value: "" if value is None else charts.short(value),
        accuracy=lambda value: "" if value is None else f"{value:.4f}",
    )


def sample(ranked: Sequence[Ranked]) -> list[Ranked]:
    """All trials, or of more than `MAX_ROWS` the better half of that many and as many of the others, by chance."""
    if len(ranked) <= MAX_ROWS:
        return list(ranked)
    best, rest = ranked[: MAX_ROWS // 2], ranked[MAX_ROWS // 2 :]
    drawn = random.Random(_SAMPLE_SEED).sample(range(len(rest)), MAX_ROWS - len(best))
    return [*best, *(rest[at] for at in sorted(drawn))]


def _head(run: StoredRun) -> Iterator[tuple[str, str]]:
    study, data = run.study, run.study["data"]
    sizes = data["sizes"]
    yield "state", study["state"]
    yield "architectures", ", ".join(f"{name} ({m['parameters']:,})" for name, m in study["models"].items())
    states = study.get("trials", {})
    yield "trials", ", ".join(f"{count} {state}" for state, count in states.items()) or "none is finished"
    images = f"{sizes['train']:,} training, {sizes['validation']:,} validation, {sizes['test']:,} test images"
    yield "data", f"{data['name']}: {images}"
    if data["notice"]:
        yield "note", data["notice"]


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
        yield Section("Figures", "No trial has a validation accuracy: there is nothing to draw.")
        return
    records = [item.record for item in ranked]
    drawn = [item.record for item in shown]
    half = "Shown is the better half; a double click shows all." if len(usable) > 1 else ""
    yield _drawn("Accuracy, parameters and time", half, [lambda: charts.pareto(shown)])
    most = f"The best {charts.MAX_CURVES}. " if len(usable) > charts.MAX_CURVES else ""
    dimmed = f"{most}Trials that were stopped are dimmed."
    yield _drawn("Learning curves", dimmed, [lambda: charts.curves(shown)])
    for model in dict.fromkeys(record.model for record in drawn):
        yield from _hyperparameters(model, [record for record in drawn if record.model == model])
    yield _confusion(usable[0].record, evaluate)
    yield _drawn("Where the time went", _session_times(run), [lambda: charts.times(records)])


def _hyperparameters(model: str, records: Sequence[TrialRecord]) -> Iterator[Section]:
    title, note, drawn = f"Hyperparameters of {model}", "", [charts.importances, charts.parallel, charts.slices]
    epoch = charts.common_epoch(records)
    if epoch is None:
        note = f"Fewer than {charts.ENOUGH} trials have an accuracy: too few to say which hyperparameters matter."
        epoch, drawn = charts.common_epoch(records, enough=max(2, len(records) // 2)), drawn[1:]
    if epoch is None:
        yield Section(title, note)
        return
    study = charts.study_at(records, epoch)
    if not study.trials[0].params:
        yield Section(title, "All trials have the same hyperparameters.")
        return
    said = f"By the accuracy at epoch {epoch}, which {len(study.trials)} trials reached. {note}"
    yield replace(_drawn(title, said, [partial(draw, study) for draw in drawn]), wide=True)


def _confusion(winner: TrialRecord, evaluate: Evaluate) -> Section:
    """Of the winner, on the validation split: the test split stays sealed."""
    title = "What the winner takes for what"
    try:
        evaluation = evaluate(winner)
    except (ValueError, OSError, RuntimeError) as error:
        return Section(title, f"Not drawn: {' '.join(str(error).split())}")
    note = (
        f"{evaluation.report['accuracy']:.4f} on the {evaluation.report['overall']['num_samples']:,} validation images "
        "that it was chosen by. Beneath: those it is most sure of and wrong about, true class > taken for."
    )
    classes = list(evaluation.report["class"])
    drawn = _drawn(title, note, [lambda: charts.confusion(evaluation.report["confusion_matrix"], classes)])
    return replace(drawn, picture=_picture(evaluation))


def _picture(evaluation: Evaluation) -> str:
    from hpo.views.figures import sheet_png

    images, captions = evaluation.wrong
    if not captions:
        return ""
    return f"data:image/png;base64,{base64.b64encode(sheet_png('', images, captions)).decode()}"


def _session_times(run: StoredRun) -> str:
    """Of the last session that measured them."""
    from hpo.views.timing import Times

    measured = [session["times"] for session in run.study["sessions"] if session.get("times")]
    if not measured:
        return ""
    times = Times(**measured[-1])
    return f"{duration(times.elapsed_s)} with {times.places} at once: {times.words()}."


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
    """The command line that asks for a spec, as in study.json: for a run of its own, that was neither cut short nor
    quiet. The spaces of a --config file are no flags; they are on the page."""
    words = ["python", "hpo/run.py"]
    for key, value in spec.items():
        if key in ("space", "resume", "quiet"):
            continue
        words.append(f"--{key.replace('_', '-')}")
        words += [] if value is True else [str(each) for each in (value if isinstance(value, list) else [value])]
    return shlex.join(words)


def _drawn(title: str, note: str, makes: Sequence[Callable[[], go.Figure]]) -> Section:
    """A section with these figures; it says which could not be drawn: a page without one is better than none."""
    figures, failed = [], []
    for make in makes:
        try:
            figures.append(_json(make))
        except Exception as error:
            logger.exception("a figure of %r", title)
            failed.append(f"A figure could not be drawn: {' '.join(str(error).split())[:200]}.")
    return Section(title, " ".join([note, *failed]), tuple(figures))


def _json(make: Callable[[], go.Figure]) -> str:
    """A figure as JSON that can stand in a script element."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        figure = make()
    figure.update_layout(template=None, title=None)
    return json.dumps(json.loads(figure.to_json())).replace("<", "\\u003c")
