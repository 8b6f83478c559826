"""`hpo evaluate`: what trained weights get right, class by class, on a split of their data set."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from hpo.cli.command import OwnModel, check_output, console, run_command
from hpo.spec.study import SWITCH, TrainSpec, choice
from hpo.system.texts import say, shown

if TYPE_CHECKING:
    from hpo.networks.evaluation import Evaluation

SPLITS = ("test", "validation", "train")
_MOST_CLASSES = 20  # more would not fit a terminal's width


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class EvaluateSpec:
    """What is evaluated, and how it is shown."""

    split: str = "test"
    """test, validation or train."""
    dataset: str | None = None
    """Another data set of the same classes and image size. [default: the one of the training]"""
    data_dir: Path | None = None
    """Where data sets are looked for and downloaded to. [default: $PODIUM_DATA_DIR, or data]"""
    train: Annotated[TrainSpec, Parameter(name="*")] = field(default_factory=TrainSpec)
    json: Annotated[bool, SWITCH] = False
    """Prints JSON instead of tables: overall and per class precision, recall, f1 and num_samples."""
    misclassified: Path | None = None
    """Draws the images that it is most sure of and wrong about into this file, NAME.png."""
    model: OwnModel = None

    def __post_init__(self) -> None:
        choice("--split", self.split, SPLITS)
        if self.misclassified:
            check_output("--misclassified", self.misclassified, ".png")


def main(argv: Sequence[str]) -> int:
    """Runs `hpo evaluate ...`; returns its exit code."""
    return run_command("evaluate", _evaluate, argv)


def _evaluate(weights: Path, /, *, spec: Annotated[EvaluateSpec, Parameter(name="*")] = EvaluateSpec()) -> None:
    """Loss, accuracy, confusion matrix, and precision, recall and F1 overall (weighted) and per class.

    Parameters
    ----------
    weights
        A best.pt, or the results/NAME that holds it.
    """
    from hpo.networks.evaluation import draw_misclassified, evaluate_weights

    evaluation = evaluate_weights(weights, spec)
    if spec.json:
        print(json.dumps(evaluation.to_dict(), indent=2))
    else:
        _show(evaluation)
    if spec.misclassified:
        draw_misclassified(spec.misclassified, evaluation)
        print(f"wrong ones: {spec.misclassified}", file=sys.stderr)


def _show(evaluation: Evaluation) -> None:
    report, terminal = evaluation.report, console()
    for note in evaluation.notes:
        say(f"note: {note}")
    say(f"{evaluation.model} on the {evaluation.split} split of {evaluation.dataset}")
    print(
        f"loss {evaluation.loss:.4f}, accuracy {report['accuracy']:.4f}, {report['overall']['num_samples']:,} images\n"
    )
    terminal.print(_classes(report))
    if len(report["class"]) <= _MOST_CLASSES:
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
