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
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)
if TYPE_CHECKING:
    from trainers.config import TrainConfig
    from trainers.data.splits import TrainingData

PROCESSES = 8
STREAMS = 32  # that torch has: more would share them
COLUMNS = ("device", "case", "side", "measure", "median", "lowest", "highest", "repetitions")
Row = tuple[str, str, str, list[float]]  # case, side, measure, values


@dataclass(frozen=True)
class Bench:
    """data: on the device. epochs: of a search's trials. lanes: that are fused."""

    data: TrainingData
    device: str
    repetitions: int
    lanes: Sequence[int]
    trials: int
    epochs: int
    quick: bool

    def config(self, **changed: Any) -> TrainConfig:
        from trainers.config import TrainConfig

        return TrainConfig(**{"device": self.device, "batch_size": 64, **changed})

    def repeated(self, run: Callable[[], float]) -> list[float]:
        """What `run` returns, after once to warm up."""
        run()
        return [run() for _ in range(self.repetitions)]


def throughput(bench: Bench) -> Iterator[Row]:
    """Images a second of all trials together, cnn, batch 64."""
    from tests.benchmarks.peers.resident_loop import epochs_s
    from trainers.config import OPTIMIZERS
    from trainers.single import SingleTrainer

    case, measure, images = "trials of cnn, batch 64", "images/s", bench.data.train.images
    alone = bench.repeated(lambda: len(images) / epochs_s(images, bench.data.train.labels, 1, seed=0))
    yield case, "plain loop, one process after another", measure, alone
    shared = bench.repeated(partial(_processes, bench))
    yield case, f"plain loop, {PROCESSES} processes at once", measure, shared
    sides: dict[str, Callable[[TrainConfig], Any]] = {
        "podium, one trial": lambda config: SingleTrainer(_cnn, bench.data, config)
    }
    for count in bench.lanes:
        sides[f"podium, {count} lanes fused"] = partial(_fused, bench, count)
    most = max(bench.lanes)
    sides[f"podium, {most} lanes fused, of three optimizers"] = partial(_fused, bench, most, optimizers=OPTIMIZERS)
    for precision in ("float32", "bf16"):
        for side, make in sides.items():
            trainer = make(bench.config(precision=precision))
            rates = bench.repeated(lambda trainer=trainer: _rate(trainer.step()))
            trainer.close()
            yield case, f"{side}, {precision}", measure, rates
            for peer, theirs in (("one process after another", alone), (f"{PROCESSES} processes", shared)):
                ratios = [rate / statistics.median(theirs) for rate in rates]
                yield case, f"{side}, {precision}", f"times the plain loop, {peer}", ratios
        streams = bench.repeated(_streams(bench, precision))
        yield case, f"podium, {min(max(bench.lanes), STREAMS)} streams, {precision}", measure, streams


def engine(bench: Bench) -> Iterator[Row]:
    """A search's training: so many trials of cnn, arrays one after another, set-up and evaluation included."""
    lanes = max(count for count in bench.lanes if count <= bench.trials)

    def run() -> float:
        began = time.perf_counter()
        for first in range(0, bench.trials, lanes):
            trainer = _fused(bench, min(lanes, bench.trials - first), bench.config(precision="bf16", seed=first))
            for _ in range(bench.epochs):
                trainer.step()
            trainer.close()
        return time.perf_counter() - began

    case = f"{bench.trials} trials of cnn, {bench.epochs} epochs each"
    yield case, f"podium, {lanes} lanes fused, bf16", "seconds", bench.repeated(run)


def to_99(bench: Bench) -> Iterator[Row]:
    """One trial of cnn until a validation accuracy of 99 %: seconds of training."""
    from trainers.single import SingleTrainer

    goal = 0.5 if bench.quick else 0.99
    seeds = iter(range(10**6))

    def run() -> float:
        config = bench.config(
            precision="bf16", batch_size=256, lr=4e-3, schedule="one-cycle", epochs=4, seed=next(seeds)
        )
        trainer = SingleTrainer(_cnn, bench.data, config)
        spent_s = 0.0
        for _ in range(config.epochs):
            (result,) = trainer.step()
            spent_s += result.train_s
            if result.val_accuracy >= goal:
                return spent_s
        return float("nan")

    yield f"one trial of cnn until {goal:.0%}", "podium, bf16, batch 256", "seconds", bench.repeated(run)


def vgg(bench: Bench) -> Iterator[Row]:
    """An epoch of vgg16, all images of training and validation."""
    from models import build_model
    from trainers.single import SingleTrainer

    data = bench.data.joined()
    if bench.quick:
        data = replace(data, train=data.train.first(64))
    config = bench.config(precision="bf16", batch_size=min(128, len(data.train)), lr=1e-4)
    trainer = SingleTrainer(lambda: build_model("vgg16", (1, 28, 28), 10), data, config)
    times = bench.repeated(lambda: trainer.step()[0].train_s)
    trainer.close()
    yield f"an epoch of vgg16, {len(data.train):,} images", f"podium, bf16, batch {config.batch_size}", "seconds", times


def forms(bench: Bench) -> Iterator[Row]:
    """The two forms of a stacked convolution, forward and backward, for the shapes of cnn and lenet5."""
    import torch

    from trainers.fused import stacked_conv as stackedconv

    lanes = max(bench.lanes)
    for channels, side, maps, size, padding in (
        (1, 28, 32, 3, 1),
        (32, 14, 64, 3, 1),
        (1, 28, 6, 5, 0),
        (6, 12, 16, 5, 0),
    ):
        x = torch.randn(64, lanes * channels, side, side, device=bench.device, requires_grad=channels > 1)
        weight = torch.randn(lanes, maps, channels, size, size, device=bench.device)
        case = f"convolution {size}x{size}, {channels} to {maps} maps of {side}x{side}, {lanes} lanes, batch 64"
        for precision in ("float32", "bf16"):
            for form in (stackedconv.grouped, stackedconv.products):
                with torch.autocast(bench.device, torch.bfloat16, enabled=precision == "bf16"):
                    times = bench.repeated(partial(stackedconv.seconds, x, weight, padding, form))
                yield case, f"{form.__name__}, {precision}", "milliseconds", [1000 * value for value in times]


CASES: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "throughput": throughput,
    "engine": engine,
    "to-99": to_99,
    "vgg16": vgg,
    "forms": forms,
}


def main() -> int:
    options = _options()
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        print(
            "gpu.py: --device cuda: there is none; --device cpu --quick shows that the benchmark works", file=sys.stderr
        )
        return 2
    bench, device = _bench(options), _name(options.device)
    folder = Path(tempfile.mkdtemp()) if options.quick else ROOT / "results" / "reference"
    rows: list[dict[str, Any]] = []
    for name in options.only or CASES:
        for case, side, measure, values in CASES[name](bench):
            known = [value for value in values if value == value] or [float("nan")]
            figures = statistics.median(known), min(known), max(known), len(values)
            rows.append(dict(zip(COLUMNS, (device, case, side, measure, *figures), strict=True)))
            print(f"{case}; {side}: {figures[0]:.4g} ({figures[1]:.4g}-{figures[2]:.4g}) {measure}", flush=True)
    _write(folder, rows)
    print(f"\n{markdown(rows)}\nwritten to {folder}/gpu.csv and gpu.md")
    return 0


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table: medians, and in brackets the lowest and the highest."""
    lines = [f"On one {rows[0]['device']}:", "", "| what | side | median (lowest-highest) | |", "|---|---|---|---|"]
    for row in rows:
        figures = "{:.4g} ({:.4g}-{:.4g})".format(*(float(row[key]) for key in ("median", "lowest", "highest")))
        lines.append(f"| {row['case']} | {row['side']} | {figures} | {row['measure']} |")
    return "\n".join(lines) + "\n"


def _cnn() -> Any:
    from models import build_model

    return build_model("cnn", (1, 28, 28), 10)


def _fused(bench: Bench, count: int, config: TrainConfig, optimizers: Sequence[str] = ("adam",)) -> Any:
    from trainers.fused.trainer import FusedTrainer

    own = [{"lr": 1e-3 * (1 + lane / count), "optimizer": optimizers[lane % len(optimizers)]} for lane in range(count)]
    configs = [replace(config, seed=config.seed + lane, **changed) for lane, changed in enumerate(own)]
    return FusedTrainer([_cnn] * count, bench.data, configs)


def _rate(results: Sequence[Any]) -> float:
    """Images a second of an epoch's training, of all lanes together."""
    return float(sum(result.images for result in results) / sum(result.train_s for result in results))


def _streams(bench: Bench, precision: str) -> Callable[[], float]:
    """The alternative to fusing: a trainer and a stream for each lane, whose graphs run side by side."""
    import contextlib

    import torch

    from tests.benchmarks.peers.resident_loop import wait
    from trainers.single import SingleTrainer

    count, cuda = min(max(bench.lanes), STREAMS), bench.device == "cuda"
    trainers = [SingleTrainer(_cnn, bench.data, bench.config(precision=precision, seed=n)) for n in range(count)]
    streams = [torch.cuda.Stream() if cuda else None for _ in trainers]  # type: ignore[no-untyped-call]

    def run() -> float:
        orders = [trainer._order() for trainer in trainers]
        wait(bench.data.train.images)
        began = time.perf_counter()
        for trainer, stream, order in zip(trainers, streams, orders, strict=True):
            with torch.cuda.stream(stream) if cuda else contextlib.nullcontext():
                trainer.model.train()
                trainer.steps.run(order, trainer._after)
        wait(bench.data.train.images)
        return count * len(bench.data.train) / (time.perf_counter() - began)

    return run


def _processes(bench: Bench) -> float:
    """Images a second of so many processes with a plain loop each, which share the device."""
    from torch import multiprocessing

    from tests.benchmarks.peers.resident_loop import process

    context = multiprocessing.get_context("spawn")
    barrier, times = context.Barrier(PROCESSES), context.Queue()
    train = bench.data.train
    arguments = ((train.images.cpu().numpy(), train.labels.cpu().numpy()), bench.device, barrier, times)
    every = [context.Process(target=process, args=(*arguments, seed)) for seed in range(PROCESSES)]
    for each in every:
        each.start()
    slowest = max(times.get(timeout=600) for _ in every)
    for each in every:
        each.join()
    return PROCESSES * len(train) / slowest


def _bench(options: argparse.Namespace) -> Bench:
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
    parser = argparse.ArgumentParser(description="Podium's engine on a GPU.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="everything once, small, to see that it works")
    parser.add_argument("--only", nargs="+", choices=CASES, help="some cases alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
