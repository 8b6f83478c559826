"""The tables of the reproduced systems: what they claim beside what was measured, made from the journal's rows."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from hpo.networks.reproduction.baseline_run import identity
from hpo.networks.reproduction.recipes import RECIPES, Recipe
from hpo.views import formats

if TYPE_CHECKING:
    import pandas as pd


def table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Makes one row per recipe, data set and precision: the claim, and the mean over the seeds of what was measured.

    Of runs with different numbers of epochs, the longest count; of several runs with one seed, the last.
    """
    import pandas as pd

    latest = {(*identity(row), row["epochs"]): row for row in rows}
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in latest.values():
        groups.setdefault(identity(row)[:-1], []).append(row)
    lines = []
    for recipe in RECIPES:
        for key in sorted(key for key in groups if key[:2] == (recipe.system, recipe.model)):
            most = max(row["epochs"] for row in groups[key])
            runs = sorted((row for row in groups[key] if row["epochs"] == most), key=lambda row: row["seed"])
            lines.append(_line(recipe, runs))
    return pd.DataFrame(lines, columns=list(COLUMNS))


COLUMNS = (
    "system",
    "model",
    "parameters_claimed",
    "parameters",
    "test_accuracy_claimed",
    "test_accuracy",
    "test_accuracy_std",
    "train_accuracy_claimed",
    "train_accuracy",
    "train_loss_claimed",
    "train_loss",
    "test_loss_claimed",
    "test_loss",
    "minutes_claimed",
    "minutes",
    "epochs_claimed",
    "epochs",
    "seeds",
    "dataset",
    "precision",
    "device",
    "note",
)
_MEASURED = ("test_accuracy", "train_accuracy", "train_loss", "test_loss", "minutes")


def _line(recipe: Recipe, runs: list[dict[str, Any]]) -> dict[str, Any]:
    claim, finished = recipe.claim, [run for run in runs if "error" not in run]
    means = {name: statistics.fmean(run[name] for run in finished) if finished else None for name in _MEASURED}
    accuracies = [run["test_accuracy"] for run in finished]
    claimed = {f"{name}_claimed": getattr(claim, name) for name in ("parameters", *_MEASURED)}
    notes = list(_notes(recipe, runs))
    return {
        "system": recipe.system,
        "model": recipe.model,
        **claimed,
        **means,
        "parameters": runs[0]["parameters"],
        "test_accuracy_std": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        "epochs_claimed": recipe.train.epochs,
        "epochs": runs[0]["epochs"],
        "seeds": len(runs),
        "dataset": runs[0]["dataset"],
        "precision": runs[0]["precision"],
        "device": "/".join(sorted({run["device"] for run in runs})),
        "note": "; ".join(notes),
    }


def _notes(recipe: Recipe, runs: list[dict[str, Any]]) -> Iterator[str]:
    epochs, whole = runs[0]["epochs"], recipe.train.epochs
    if runs[0]["dataset"] != "mnist":
        yield f"on {runs[0]['dataset']}, the claim is of MNIST"
    if epochs < whole:
        yield f"{epochs} of {whole} epochs"
    failed = [str(run["seed"]) for run in runs if "error" in run]
    if failed:
        yield f"diverged with seed {', '.join(failed)}"
    if recipe.claim.note:
        yield recipe.claim.note


def markdown(frame: pd.DataFrame) -> str:
    """The table as Markdown, claimed and measured results side by side."""
    head = (
        "system",
        "model",
        "parameters: claimed / counted",
        "test accuracy: claimed / measured",
        "train accuracy",
        "train loss",
        "test loss",
        "minutes",
        "epochs, seeds, precision",
        "note",
    )
    lines = [_row(head), _row("---" for _ in head)]
    for _, line in frame.astype(object).where(frame.notna(), None).iterrows():
        spread = f" ± {100 * line['test_accuracy_std']:.2f}" if line["test_accuracy_std"] is not None else ""
        lines.append(
            _row(
                (
                    line["system"],
                    f"`{line['model']}`",
                    _pair(line, "parameters", formats.number),
                    _pair(line, "test_accuracy", _percent) + spread,
                    _pair(line, "train_accuracy", _percent),
                    _pair(line, "train_loss", formats.loss),
                    _pair(line, "test_loss", formats.loss),
                    _pair(line, "minutes", _minutes),
                    f"{line['epochs']}, {line['seeds']}, {line['precision']}",
                    line["note"] or "",
                )
            )
        )
    return "\n".join(lines) + "\n"


def _pair(line: Any, name: str, form: Callable[[float | None], str]) -> str:
    return f"{form(line[f'{name}_claimed'])} / {form(line[name])}"


def _percent(fraction: float | None) -> str:
    return formats.percent(fraction, digits=2)


def _minutes(value: float | None) -> str:
    return formats.MISSING if value is None else f"{value:.1f}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
