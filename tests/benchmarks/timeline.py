"""Draws the timeline of a run: where the time of README's first command goes.

python -m tests.benchmarks.timeline results/NAME/timeline.json .github/images/timeline.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

COLOURS = {"training": "#4c78a8", "evaluation": "#f58518", "finals": "#54a24b", "driver": "#9d9d9d", "trial": "#dfe6ee"}


def main(source: Path, target: Path) -> None:
    """Reads timeline.json, and writes a picture with a bar for each row."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    events = json.loads(source.read_text())["traceEvents"]
    groups = {event["pid"]: event["args"]["name"] for event in events if event["ph"] == "M"}
    spans = [event for event in events if event["ph"] == "X"]
    rows = sorted({(span["pid"], span["tid"]) for span in spans})
    figure = Figure(figsize=(11, 0.5 * len(rows) + 1.4), layout="constrained")
    axes = figure.subplots()
    for span in spans:
        place = rows.index((span["pid"], span["tid"]))
        bar = [(span["ts"] / 1e6, span["dur"] / 1e6)]
        axes.broken_barh(bar, (place - 0.4, 0.8), color=COLOURS[_kind(span, groups)])
    axes.set_yticks(range(len(rows)), [f"{groups[group]} {row}".replace("driver 1", "driver") for group, row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    axes.legend(handles=[Patch(color=colour, label=kind) for kind, colour in COLOURS.items()], ncols=5, frameon=False)
    figure.savefig(target, dpi=120)


def _kind(span: dict[str, Any], groups: dict[int, str]) -> str:
    """What a bar is coloured by."""
    words = span["name"].rpartition(": ")[2]
    return words if words in COLOURS else {"trials": "trial"}.get(groups[span["pid"]], groups[span["pid"]])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
