"""`hpo evaluate`: loss, accuracy and scores per class of trained weights, on a split of their data set."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hpo.cli.command import run_command
from hpo.spec.commands.evaluate import EvaluateSpec
from hpo.views.evaluation import draw_misclassified, show_evaluation


def main(argv: Sequence[str]) -> int:
    """Runs `hpo evaluate ...`; returns its exit code."""
    return run_command("evaluate", _evaluate, argv)


def _evaluate(weights: Path, /, *, spec: Annotated[EvaluateSpec, Parameter(name="*")] = EvaluateSpec()) -> None:
    """Evaluates trained weights: loss, accuracy, confusion matrix, and precision, recall and F1 per class and overall.

    Parameters
    ----------
    weights
        A run: NAME, or its folder. Or the file of a network, such as results/NAME/finals/TRIAL.pt.
    """
    from hpo.networks.evaluation import evaluate_weights

    evaluation = evaluate_weights(weights, spec)
    if spec.json:
        print(json.dumps(evaluation.to_dict(), indent=2))
    else:
        show_evaluation(evaluation)
    if spec.misclassified:
        draw_misclassified(spec.misclassified, evaluation)
        print(f"The misclassified images are in {spec.misclassified}", file=sys.stderr)
