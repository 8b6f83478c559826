"""`hpo predict`: predicts the classes of pictures of any size."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hpo.cli.command import run_command
from hpo.spec.checks import choice
from hpo.spec.commands.evaluate import OwnModel, TrialNetwork
from hpo.system.errors import BAD_INPUT, FAILED, UserError
from hpo.system.files import check_output, write_atomically
from hpo.system.text import say, single_line

if TYPE_CHECKING:
    from hpo.networks.prediction import Prediction

INVERT = ("auto", "yes", "no")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PredictSpec:
    """How pictures are read, and where the answers are written."""

    invert: str = "auto"
    """Whether to invert the pictures: yes, no, or auto, which inverts a picture with a bright border when the training
    images had a dark one, and the reverse."""
    out: Path | None = None
    """Writes the answers to this file, NAME.csv."""
    model: OwnModel = None
    trial_network: TrialNetwork = False

    def __post_init__(self) -> None:
        choice("--invert", self.invert, INVERT)
        if self.out:
            check_output("--out", self.out, ".csv")


def main(argv: Sequence[str]) -> int:
    """Runs `hpo predict ...`; returns its exit code."""
    return run_command("predict", _predict, argv)


def _predict(
    weights: Path, /, *pictures: Path, spec: Annotated[PredictSpec, Parameter(name="*")] = PredictSpec()
) -> int:
    """Predicts the classes of pictures, with probabilities. For folders, the output is CSV.

    Pictures may have any size and color mode.

    Parameters
    ----------
    weights
        A run: NAME, or its folder. Or the file of a network, such as results/NAME/finals/TRIAL.pt.
    pictures
        Picture files, or folders of them.
    """
    from hpo.networks.prediction import predict_pictures

    if not pictures:
        raise UserError("hpo predict: give at least one picture or folder after the weights")
    classes, answers = predict_pictures(weights, pictures, spec.invert, spec.model, spec.trial_network)
    named = [answer for answer in answers if answer.error and answer.file in pictures]
    if len(named) < len(answers):
        _give(classes, answers, spec.out, any(map(os.path.isdir, pictures)))
    return _end(answers, named)


def _give(classes: Sequence[str], answers: Sequence[Prediction], out: Path | None, as_csv: bool) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # file names may be in another encoding than UTF-8
    if out or as_csv:
        _give_csv(_csv(classes, answers), out)
        return
    for answer in answers:
        if not answer.error:
            say(_line(classes, answer))


def _end(answers: Sequence[Prediction], named: Sequence[Prediction]) -> int:
    """Prints what could not be read; returns the exit code.

    A file that the user named gets its own line; those found in folders are only counted, because the CSV names them.
    The code is FAILED when some pictures have no answer, and BAD_INPUT when there is no answer at all and every file
    was named: then the command line is wrong.
    """
    for answer in named:
        print(f"hpo: {single_line(answer.error)}", file=sys.stderr)
    failed = sum(1 for answer in answers if answer.error)
    if failed > len(named):
        print(f"hpo: {failed} of {len(answers)} files could not be read", file=sys.stderr)
    if len(named) == len(answers):
        return BAD_INPUT
    return FAILED if failed else 0


def _line(classes: Sequence[str], answer: Prediction) -> str:
    order = sorted(range(len(classes)), key=lambda i: -answer.probabilities[i])
    runners = ", ".join(f"{classes[i]} {answer.probabilities[i]:.3f}" for i in order[1:4])
    inverted = "  [inverted]" if answer.inverted else ""
    return f"{answer.file}: {classes[order[0]]}  {answer.probabilities[order[0]]:.3f}  ({runners}){inverted}"


def _csv(classes: Sequence[str], answers: Sequence[Prediction]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "class", "probability", "inverted", *(f"p_{name}" for name in classes), "error"])
    for answer in answers:
        if answer.error:
            writer.writerow([answer.file, "", "", "", *("" for _ in classes), answer.error])
            continue
        best = max(range(len(classes)), key=lambda i: answer.probabilities[i])
        values = [f"{value:.6f}" for value in answer.probabilities]
        writer.writerow([answer.file, classes[best], values[best], answer.inverted, *values, ""])
    return text.getvalue()


def _give_csv(text: str, out: Path | None) -> None:

    if out is None:
        print(text, end="")
    else:
        write_atomically(out, text.encode(errors="surrogateescape"))
        print(out)
