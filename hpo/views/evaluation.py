"""What a network gets right and wrong on a split: the numbers, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from hpo.system.terminal import console
from hpo.system.text import say, shown
from hpo.views import figures

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """loss: mean nats per image. report: see trainers/metrics.py. notes: what a reader must know. wrong: the images
    that were taken for another class, in [0, 1], with their captions, those first that it was most sure of."""

    model: str
    dataset: str
    split: str
    loss: float
    report: dict[str, Any]
    notes: tuple[str, ...]
    wrong: tuple[Tensor, list[str]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the report, and what it is of."""
        head = {"model": self.model, "dataset": self.dataset, "split": self.split, "notes": list(self.notes)}
        return {**self.report, "loss": self.loss, **head}


def draw_misclassified(path: Path, evaluation: Evaluation) -> None:
    """The first images that were taken for another class, as a PNG; OSError where the disk does not take it."""
    images, captions = evaluation.wrong
    title = f"{len(images):,} of {evaluation.report['overall']['num_samples']:,} wrong: true class > taken for"
    figures.draw_sheet(path, title, images, captions)


_MAX_CLASSES = 20  # more would not fit a terminal's width


def show_evaluation(evaluation: Evaluation) -> None:
    report, terminal = evaluation.report, console()
    for note in evaluation.notes:
        say(f"note: {note}")
    say(f"{evaluation.model} on the {evaluation.split} split of {evaluation.dataset}")
    print(
        f"loss {evaluation.loss:.4f}, accuracy {report['accuracy']:.4f}, {report['overall']['num_samples']:,} images\n"
    )
    terminal.print(_classes(report))
    if len(report["class"]) <= _MAX_CLASSES:
        print("\nconfusion matrix (a row: the true class, a column: what it was taken for)")
        terminal.print(_confusion(report))


def _classes(report: dict[str, Any]) -> Table:
    table = _table("class", "precision", "recall", "f1", "images")
    for name, entry in (*report["class"].items(), ("overall (weighted)", report["overall"])):
        if name == "overall (weighted)":
            table.add_section()
        scores = (f"{entry[key]:.4f}" for key in ("precision", "recall", "f1"))
        table.add_row(shown(name), *scores, f"{entry['num_samples']:,}")
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
