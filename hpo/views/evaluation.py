"""The evaluation of a network on a split, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.table import Table

from hpo.system.terminal import console
from hpo.system.text import say, shown
from hpo.views import figures, formats

if TYPE_CHECKING:
    from torch import Tensor


class Mistake(NamedTuple):
    """An image that a network classifies wrongly."""

    true: str
    predicted: str
    probability: float
    """That the network gives to the class that it predicts."""

    @property
    def caption(self) -> str:
        return f"{self.true} > {self.predicted}"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a network gets right and wrong on a split."""

    model: str
    dataset: str
    split: str
    loss: float
    """Mean cross-entropy, in nats per image."""
    report: dict[str, Any]
    """Accuracy, scores per class and the confusion matrix, as trainers/criteria/metrics.py makes them."""
    metrics: dict[str, float]
    """Every further metric, see `all_metrics` in trainers/criteria/metrics.py, and the user's own."""
    notes: tuple[str, ...]
    """What a reader must know."""
    wrong: tuple[Tensor, list[Mistake]]
    """The most confident mistakes: the images, in [0, 1], as many as are drawn, and all mistakes."""

    def to_dict(self) -> dict[str, Any]:
        """The report, with the model, the data set, the split and the loss, as plain values for JSON."""
        head = {"model": self.model, "dataset": self.dataset, "split": self.split, "notes": list(self.notes)}
        return {**self.report, "loss": self.loss, "metrics": self.metrics, **head}


def draw_misclassified(path: Path, evaluation: Evaluation) -> None:
    """Draws the first misclassified images into a PNG file. Raises OSError."""
    images, mistakes = evaluation.wrong
    count = formats.number(evaluation.report["overall"]["num_samples"])
    title = f"{formats.number(len(mistakes))} of {count} images are misclassified: true class > predicted class"
    figures.draw_sheet(path, title, images, [mistake.caption for mistake in mistakes])


_MAX_CLASSES = 20  # a larger confusion matrix is wider than a terminal


def show_evaluation(evaluation: Evaluation) -> None:
    """Prints the scores, per class and overall, and a confusion matrix that a terminal has room for."""
    report, terminal = evaluation.report, console()
    for note in evaluation.notes:
        say(f"note: {note}")
    say(f"{evaluation.model} on the {evaluation.split} split of {evaluation.dataset}")
    images = formats.number(report["overall"]["num_samples"])
    print(f"loss {formats.loss(evaluation.loss)}, accuracy {formats.accuracy(report['accuracy'])}, {images} images")
    say("; ".join(f"{name.replace('_', ' ')} {formats.accuracy(value)}" for name, value in evaluation.metrics.items()))
    print()
    terminal.print(_classes(report))
    if len(report["class"]) <= _MAX_CLASSES:
        print("\nconfusion matrix (rows: true class, columns: predicted class)")
        terminal.print(_confusion(report))


def _classes(report: dict[str, Any]) -> Table:
    table = _table("class", "precision", "recall", "f1", "images")
    for name, entry in (*report["class"].items(), ("overall (weighted)", report["overall"])):
        if name == "overall (weighted)":
            table.add_section()
        scores = (formats.accuracy(entry[key]) for key in ("precision", "recall", "f1"))
        table.add_row(shown(name), *scores, formats.number(entry["num_samples"]))
    return table


def _confusion(report: dict[str, Any]) -> Table:
    table = _table("", *report["class"])
    for name, counts in zip(report["class"], report["confusion_matrix"], strict=True):
        table.add_row(shown(name), *(str(count) if count else "." for count in counts))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first)
    for name in others:
        table.add_column(shown(name), justify="right")
    return table
