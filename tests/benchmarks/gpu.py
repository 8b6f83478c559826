"""Podium's engine on a GPU, without Ray and Optuna: torch and torchvision are enough.

    PODIUM_DATA_DIR=... python tests/benchmarks/gpu.py [--only CASE ...] [--device cpu --quick]

MNIST lies on the device. Every side is warmed up and measured at least three times; the figures are medians with the
lowest and the highest. Writes results/reference/gpu.csv and gpu.md, with the device's name; --quick tries everything
once and small, to a temporary folder.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import statistics
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)
if TYPE_CHECKING:
    from tests.benchmarks.gpu_cases import Bench

COLUMNS = ("device", "case", "side", "measure", "median", "lowest", "highest", "repetitions")


def main() -> int:
    options = _options()
    import torch

    from tests.benchmarks.gpu_cases import CASES

    if options.device == "cuda" and not torch.cuda.is_available():
        print(
            "gpu.py: --device cuda: there is none; --device cpu --quick shows that the benchmark works", file=sys.stderr
        )
        return 2
    bench, device = _bench(options), _name(options.device)
    folder = Path(tempfile.mkdtemp()) if options.quick else ROOT / "results" / "reference"
    rows: list[dict[str, Any]] = []
    failed = []
    for name in options.only or CASES:
        try:
            for case, side, measure, values in CASES[name](bench):
                rows.append(_row(device, case, side, measure, values))
                _write(folder, rows)
        except Exception:  # the other cases' minutes on the device are not lost
            traceback.print_exc()
            failed.append(name)
    if rows:
        print(f"\n{markdown(rows)}\nwritten to {folder}/gpu.csv and gpu.md")
    if failed:
        print(f"gpu.py: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _row(device: str, case: str, side: str, measure: str, values: Sequence[float]) -> dict[str, Any]:
    """The row of a measurement, which it prints; what is not a number counts as not measured."""
    known = [value for value in values if value == value] or [float("nan")]
    median, lowest, highest = statistics.median(known), min(known), max(known)
    print(f"{case}; {side}: {median:.4g} ({lowest:.4g}-{highest:.4g}) {measure}", flush=True)
    return dict(zip(COLUMNS, (device, case, side, measure, median, lowest, highest, len(values)), strict=True))


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table: medians, and in brackets the lowest and the highest."""
    lines = [f"On one {rows[0]['device']}:", "", "| what | side | median (lowest-highest) | |", "|---|---|---|---|"]
    for row in rows:
        figures = "{} ({}-{})".format(*(_figure(float(row[key])) for key in ("median", "lowest", "highest")))
        lines.append(f"| {row['case']} | {row['side']} | {figures} | {row['measure']} |")
    return "\n".join(lines) + "\n"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _bench(options: argparse.Namespace) -> Bench:
    from tests.benchmarks.gpu_cases import Bench
    from trainers.cpu.memory import keep_freed_memory
    from trainers.data.dataset import load_dataset
    from trainers.data.splits import TrainingData

    keep_freed_memory()
    data = load_dataset("mnist", Path(os.environ.get("PODIUM_DATA_DIR") or "data")).training
    if options.quick:
        data = TrainingData(data.train.first(256), data.validation.first(256))
    sizes = (1, (2,), 4, 1) if options.quick else (3, (8, 16, 32, 64), 50, 5)
    return Bench(data.to(options.device), options.device, *sizes, quick=options.quick)


def _name(device: str) -> str:
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else f"processor ({platform.machine()})"


def _write(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    with (folder / "gpu.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (folder / "gpu.md").write_text(markdown(rows))


def _options() -> argparse.Namespace:
    from tests.benchmarks.gpu_cases import CASES

    parser = argparse.ArgumentParser(description="Podium's engine on a GPU.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="everything once, small, to see that it works")
    parser.add_argument("--only", nargs="+", choices=CASES, help="some cases alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
