"""The benchmarks' one table: medians with their spread, as CSV, as Markdown and as a plot."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

ORDER = ("throughput", "precision", "start", "overhead", "job", "race", "search", "growth")


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
    """The tables of trainers/README.md: medians, and in brackets the lowest and the highest."""
    parts = [_throughput(frame), *(_sides(frame, *table) for table in _SIDES)]
    return "\n".join(part for part in parts if part)


# (Benchmark, what is compared, measure) of each table.
_SIDES = (
    ("precision", "on the same seeds", "validation accuracy"),
    ("start", "from Enter to the first result", "seconds"),
    ("overhead", "a trial that does nothing", "seconds per trial"),
    ("job", "16 given configurations of cnn, the whole job", "seconds"),
    ("race", "searches of the same length", "best validation accuracy"),
    ("race", "the winners of these searches", "test accuracy"),
    ("race", "searches of the same length", "seconds"),
    ("search", "the best of a tabulated search space", "best validation accuracy"),
    ("growth", "the driver alone", "seconds per trial"),
)


def _throughput(frame: pd.DataFrame) -> str:
    rows = frame[frame["benchmark"] == "throughput"]
    if rows.empty:
        return ""
    lines = [
        "| training on one thread | plain loop, images/s | float32 | bf16 | slower than its bound: float32, bf16 "
        "| accuracy: plain, float32, bf16 |",
        "|---|---|---|---|---|---|",
    ]
    for case in rows["case"].unique():
        cells = {
            (row["side"], row["measure"].split(" after")[0]): row for _, row in rows[rows["case"] == case].iterrows()
        }
        sides = ("float32", "bf16")
        times = [f"{_cell(cells[side, 'times the plain loop'])} x" for side in sides]
        bounds = [f"{cells[side, 'times slower than its bound']['median']:.1f} x" for side in sides]
        accuracies = [_cell(cells[side, "accuracy"]) for side in ("plain loop", *sides)]
        lines.append(
            f"| {case} | {_cell(cells['plain loop', 'images/s'])} | {times[0]} | {times[1]} | {', '.join(bounds)} "
            f"| {', '.join(accuracies)} |"
        )
    return "\n".join(lines) + "\n"


def _sides(frame: pd.DataFrame, benchmark: str, head: str, unit: str) -> str:
    rows = frame[frame["benchmark"] == benchmark]
    shown = rows[rows["measure"] == unit]
    if shown.empty:
        return ""
    sides = list(dict.fromkeys(shown["side"]))
    lines = [f"| {head}, {unit} | {' | '.join(sides)} |", "|---|" + "---|" * len(sides)]
    for case in shown["case"].unique():
        cells = {row["side"]: _cell(row) for _, row in shown[shown["case"] == case].iterrows()}
        lines.append(f"| {case} | {' | '.join(cells.get(side, '') for side in sides)} |")
    ratios = rows[rows["measure"].str.startswith("times") & rows["case"].isin(shown["case"])]
    said = [f"{row['measure']}: {_cell(row)}" for _, row in ratios.iterrows()]
    return "\n".join(lines) + "\n" + (f"\n{'; '.join(said)}.\n" if said else "")


def _cell(row: pd.Series) -> str:
    digits = ".4f" if "accuracy" in row["measure"] else ".3g"
    median, lowest, highest = (_number(row[name], digits) for name in ("median", "lowest", "highest"))
    return f"{median} ({lowest}-{highest})"


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


def _number(value: float, digits: str) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:{digits}}"
