"""The benchmarks' one table: medians with their spread, as CSV, as Markdown and as a plot."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

NAMES = {"throughput": "training", "overhead": "cost of a trial", "job": "whole job"}
ORDER = ("throughput", "overhead", "job", "race", "search", "growth")


@dataclass(frozen=True)
class Row:
    """One measure of one side: the median of `repetitions` values, the lowest and the highest."""

    benchmark: str
    case: str
    side: str
    measure: str
    median: float
    lowest: float
    highest: float
    repetitions: int


def row(benchmark: str, case: str, side: str, measure: str, values: Sequence[float]) -> Row:
    return Row(benchmark, case, side, measure, statistics.median(values), min(values), max(values), len(values))


def merge(path: Path, rows: Iterable[Row]) -> pd.DataFrame:
    """What `path` holds with the rows of the benchmarks in `rows` replaced; written back."""
    frame = pd.DataFrame([asdict(item) for item in rows], columns=[item.name for item in fields(Row)])
    if path.exists():
        old = pd.read_csv(path)
        frame = pd.concat([old[~old["benchmark"].isin(frame["benchmark"].unique())], frame])
    frame = frame.sort_values("benchmark", key=lambda names: names.map(ORDER.index), kind="stable")
    frame.to_csv(path, index=False, float_format="%.6g")
    return pd.read_csv(path)


def markdown(frame: pd.DataFrame) -> str:
    """The table of the README: every ratio, and what it is of."""
    lines = ["| what | case | against | median | lowest to highest |", "|---|---|---|---|---|"]
    for entry in frame[frame["measure"].map(_is_shown)].to_dict("records"):
        unit = "" if entry["measure"].startswith("times") else f" {entry['measure']}"
        benchmark = NAMES.get(entry["benchmark"], entry["benchmark"])
        lines.append(
            f"| {benchmark} | {entry['case']}, {entry['side']} | {_against(entry)} "
            f"| {_number(entry['median'])}{unit} | {_number(entry['lowest'])} to {_number(entry['highest'])} |"
        )
    return "\n".join(lines) + "\n"


def draw(frame: pd.DataFrame, path: Path) -> None:
    """How many times faster than its peers, a bar each, with its spread."""
    from matplotlib.figure import Figure

    shown = frame[frame["measure"].str.contains("times faster|times the plain|times less")]
    if shown.empty:
        return
    figure = Figure(figsize=(8, 0.8 + 0.28 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    labels = [f"{entry['case']}, {entry['side']}: {entry['measure']}" for entry in shown.to_dict("records")]
    spread = [shown["median"] - shown["lowest"], shown["highest"] - shown["median"]]
    axes.barh(labels, shown["median"], xerr=spread, color="#4878d0", error_kw={"ecolor": "#444444", "capsize": 2})
    axes.axvline(1, color="#444444", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("times as fast as the peer (1: the same)")
    axes.invert_yaxis()
    axes.tick_params(labelsize=7)
    figure.savefig(path, dpi=120)


def _is_shown(measure: str) -> bool:
    return measure.startswith("times") or ("accuracy" in measure and "after" not in measure)


def _against(entry: dict[str, object]) -> str:
    words = str(entry["measure"])
    for start in ("times faster than ", "times less than ", "times slower than ", "times the "):
        words = words.removeprefix(start)
    return words if words != entry["measure"] else ""


def _number(value: float) -> str:
    return f"{value:.4f}" if 0.5 < value < 1 else f"{value:.3g}"
