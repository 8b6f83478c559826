"""report.html of one training: its curves, its mistakes on the validation images, and what it saw."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from hpo.spec.spaces.domains import in_use
from hpo.store.stored_run import StoredTraining
from hpo.store.trust import consent
from hpo.system.files import write_atomically
from hpo.trials.metric import words
from hpo.views.formats import accuracy, duration, hyperparameter, number, plural
from hpo.views.page import charts
from hpo.views.page.headline import Headline, uses
from hpo.views.page.origin import images, made_with
from hpo.views.page.sections import TRAINING_VALUES, Evaluate, Section, confusion, data_uri, drawn
from hpo.views.page.template import render_template


def write_training_page(training: StoredTraining, path: Path, evaluate: Evaluate) -> None:
    """Writes the page, whole or not at all. Raises OSError.

    `evaluate` runs the network on the validation split. What cannot be drawn is named on the page.
    """
    write_atomically(path, render_training(training, evaluate))


def render_training(training: StoredTraining, evaluate: Evaluate) -> str:
    """The page, as HTML."""
    return render_template(
        "training",
        parts=["The training", ""],
        title=training.name,
        headline=_headline(training),
        about=list(_about(training)),
        sections=list(_sections(training, evaluate)),
        provenance=list(_provenance(training.settings)),
    )


def _headline(training: StoredTraining) -> Headline:
    record = training.record
    best = f"in epoch {record.best_epoch} of {record.epochs}" if record.best_epoch else "no epoch has a value"
    return Headline(
        won=record.model,
        measured=f"validation {words(record.metric)}",
        value=accuracy(record.value),
        note=f"{best}; not tested: the epoch was chosen by this value, which is a little too good",
        facts=tuple(_facts(training)),
        commands=tuple(_commands(training)),
    )


def _facts(training: StoredTraining) -> Iterator[tuple[str, str]]:
    record = training.record
    config = in_use(record.config)
    yield "configuration", ", ".join(f"{key} {hyperparameter(value)}" for key, value in config.items())
    yield "size", f"{number(record.parameters)} parameters"
    speed = f", {number(round(record.images_per_s))} images per second" if record.images_per_s else ""
    yield "cost", f"{plural(record.epochs, 'epoch')}, {duration(record.wall_time_s)}{speed}"


def _commands(training: StoredTraining) -> Iterator[tuple[str, str]]:
    name, model = shlex.quote(training.name), training.record.model
    yield "test it, once", f"hpo evaluate {name}{consent([model])}"
    yield from uses(name, model, epochs=2 * len(training.curve))


def _about(training: StoredTraining) -> Iterator[tuple[str, str]]:
    data = training.settings["data"]
    yield "state", str(training.record.state)
    yield "data", images(data)
    if data["notice"]:
        yield "note", data["notice"]
    yield "number format", f"{training.record.precision} on {training.record.device}"
    yield "seed", str(training.record.seed)


def _sections(training: StoredTraining, evaluate: Evaluate) -> Iterator[Section]:
    curve, metric = [asdict(epoch) for epoch in training.curve], training.record.metric
    note = f"The dotted line is the best epoch, whose weights best.pt has. {TRAINING_VALUES}"
    yield drawn("Learning curves", note, [partial(charts.training, curve, metric, loss=loss) for loss in (False, True)])
    said = "The best epoch was chosen by its {metric} on these {images} validation images: {value}."
    yield confusion("Confusion matrix", said, training.record, evaluate)
    if training.samples.exists():
        picture = data_uri(training.samples.read_bytes())
        yield Section("Training images", "Some of them, as the network saw them.", picture=picture)


def _provenance(settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "started", str(settings.get("started", "unknown"))
    yield from made_with(settings)
