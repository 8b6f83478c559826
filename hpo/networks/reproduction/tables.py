"""The tables of the reproduced systems: what they claim beside what was measured, made from the journal's rows."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from hpo.networks.reproduction.baseline_run import identity
from hpo.networks.reproduction.recipes import RECIPES, Recipe
from hpo.trials.significance import Measured, measure_accuracies
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
    "test_accuracy_low",
    "test_accuracy_high",
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
    measured = _measured(finished)
    claimed = {f"{name}_claimed": getattr(claim, name) for name in ("parameters", *_MEASURED)}
    notes = list(_notes(recipe, runs))
    return {
        "system": recipe.system,
        "model": recipe.model,
        **claimed,
        **means,
        "parameters": runs[0]["parameters"],
        "test_accuracy_std": measured.std if measured else None,
        "test_accuracy_low": measured.low if measured else None,
        "test_accuracy_high": measured.high if measured else None,
        "epochs_claimed": recipe.train.epochs,
        "epochs": runs[0]["epochs"],
        "seeds": len(runs),
        "dataset": runs[0]["dataset"],
        "precision": runs[0]["precision"],
        "device": "/".join(sorted({run["device"] for run in runs})),
        "note": "; ".join(notes),
    }


def _measured(finished: list[dict[str, Any]]) -> Measured | None:
    """The test accuracy with its interval; None where no run has ended well, or the number of images is unknown."""
    if not finished:
        return None
    images = min(run.get("test_images") or _TEST_IMAGES.get(run["dataset"], 0) for run in finished)
    return measure_accuracies([run["test_accuracy"] for run in finished], images) if images else None


_TEST_IMAGES = {"mnist": 10_000, "fashion-mnist": 10_000}  # of rows that do not say it


def _notes(recipe: Recipe, runs: list[dict[str, Any]]) -> Iterator[str]:
    if runs[0]["dataset"] != "mnist":
        yield f"on {runs[0]['dataset']}, the claim is of MNIST"
    failed = [str(run["seed"]) for run in runs if "error" in run]
    if failed:
        yield f"diverged with seed {', '.join(failed)}"
    if recipe.claim.note:
        yield recipe.claim.note


def markdown(frame: pd.DataFrame) -> str:
    """The table as Markdown, claimed and measured results side by side. The first column says which runs were cut."""
    head = (
        "system",
        "model",
        "parameters: claimed / counted",
        "test accuracy: claimed / measured, 95 % interval",
        "train accuracy",
        "train loss",
        "test loss",
        "minutes",
        "epochs, seeds, precision",
        "note",
    )
    lines = [_row(head), _row("---" for _ in head)]
    for _, line in frame.astype(object).where(frame.notna(), None).iterrows():
        lines.append(
            _row(
                (
                    line["system"] + _cut(line),
                    f"`{line['model']}`",
                    _pair(line, "parameters", formats.number),
                    _pair(line, "test_accuracy", _percent) + _spread(line),
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


def _cut(line: Any) -> str:
    """ ", cut: 3 of 50 epochs" where a run was shorter than its recipe."""
    epochs, whole = line["epochs"], line["epochs_claimed"]
    return f", cut: {epochs} of {whole} epochs" if epochs < whole else ""


def _spread(line: Any) -> str:
    """ " ± 0.06 (99.14-99.48)": the standard deviation over the seeds, and the interval of the mean."""
    std = "" if line["test_accuracy_std"] is None else f" ± {100 * line['test_accuracy_std']:.2f}"
    low, high = line["test_accuracy_low"], line["test_accuracy_high"]
    return std if low is None else f"{std} ({100 * low:.2f}-{100 * high:.2f})"


def _pair(line: Any, name: str, form: Callable[[float | None], str]) -> str:
    return f"{form(line[f'{name}_claimed'])} / {form(line[name])}"


def _percent(fraction: float | None) -> str:
    return formats.percent(fraction, digits=2)


def _minutes(value: float | None) -> str:
    return formats.MISSING if value is None else f"{value:.1f}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
