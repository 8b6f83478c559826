"""The cases of gpu.py: what is measured on the device. Each yields rows, one for each side and measure."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainers.config import TrainConfig
    from trainers.data.splits import TrainingData

PROCESSES = 8
RATE_IMAGES = 12_800  # of an epoch whose rate is measured
STREAMS = 32  # that torch has: more would share them
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

    @property
    def precisions(self) -> tuple[str, ...]:
        """Few processors have arithmetic for bf16; there it would only take long."""
        return ("float32", "bf16") if self.device == "cuda" else ("float32",)

    def config(self, **changed: Any) -> TrainConfig:
        from trainers.config import TrainConfig

        return TrainConfig(**{"device": self.device, "batch_size": 64, **changed})

    def repeated(self, run: Callable[[], float]) -> list[float]:
        """What `run` returns, after once to warm up."""
        run()
        return [run() for _ in range(self.repetitions)]


def throughput(bench: Bench) -> Iterator[Row]:
    """Images a second of all trials together, cnn, batch 64. The plain loop's images are floats already."""
    from tests.benchmarks.peers.resident_loop import epochs_s
    from trainers.config import OPTIMIZERS
    from trainers.data.splits import TrainingData
    from trainers.single import SingleTrainer

    bench = replace(bench, data=TrainingData(bench.data.train.first(RATE_IMAGES), bench.data.validation.first(2000)))
    case, measure, plain = "trials of cnn, batch 64", "images/s", bench.data.train.normalized()
    alone = bench.repeated(lambda: len(plain) / epochs_s(plain.images, plain.labels, 1, seed=0))
    yield case, "plain loop, one process after another", measure, alone
    shared = _processes(bench)
    yield case, f"plain loop, {PROCESSES} processes at once", measure, shared
    sides: dict[str, Callable[[TrainConfig], Any]] = {
        "podium, one trial": lambda config: SingleTrainer(_cnn, bench.data, config)
    }
    for count in bench.lanes:
        sides[f"podium, {count} lanes fused"] = partial(_fused, bench, count)
    most = max(bench.lanes)
    sides[f"podium, {most} lanes fused, of three optimizers"] = partial(_fused, bench, most, optimizers=OPTIMIZERS)
    for precision in bench.precisions:
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
    lanes, precision = min(max(bench.lanes), bench.trials), bench.precisions[-1]

    def run() -> float:
        began = time.perf_counter()
        for first in range(0, bench.trials, lanes):
            trainer = _fused(bench, min(lanes, bench.trials - first), bench.config(precision=precision, seed=first))
            for _ in range(bench.epochs):
                trainer.step()
            trainer.close()
        return time.perf_counter() - began

    case = f"{bench.trials} trials of cnn, {bench.epochs} epochs each"
    yield case, f"podium, {lanes} lanes fused, {precision}", "seconds", bench.repeated(run)


def to_99(bench: Bench) -> Iterator[Row]:
    """One trial of cnn until a validation accuracy of 99 %: seconds of training."""
    from trainers.single import SingleTrainer

    goal, precision = 0.2 if bench.quick else 0.99, bench.precisions[-1]
    seeds = iter(range(10**6))

    def run() -> float:
        recipe = {"batch_size": 256, "lr": 4e-3, "schedule": "linear", "warm_up": 0.2, "epochs": 4}
        config = bench.config(precision=precision, seed=next(seeds), **recipe)
        trainer = SingleTrainer(_cnn, bench.data, config)
        spent_s = 0.0
        for _ in range(config.epochs):
            (result,) = trainer.step()
            spent_s += result.train_s
            if result.val_accuracy >= goal:
                return spent_s
        return float("nan")

    yield f"one trial of cnn until {goal:.0%}", f"podium, {precision}, batch 256", "seconds", bench.repeated(run)


def precision(bench: Bench) -> Iterator[Row]:
    """Whether bf16 finds as much: validation accuracies over seeds, in both precisions."""
    from trainers.fused.trainer import FusedTrainer

    seeds, epochs = (2, 1) if bench.quick else (16, 3)
    recipe = {"lr": 2e-3, "optimizer": "adamw", "weight_decay": 0.01, "schedule": "linear", "ema": 0.99}
    for model in ("cnn", "lenet5"):
        for name in bench.precisions:
            config = bench.config(precision=name, epochs=epochs, augment="shift", **recipe)
            configs = [replace(config, seed=seed) for seed in range(seeds)]
            trainer = FusedTrainer([partial(_network, model)] * seeds, bench.data, configs)
            results = [trainer.step() for _ in range(epochs)][-1]
            trainer.close()
            accuracies = [result.val_accuracy for result in results]
            yield f"{epochs} epochs of {model}, {seeds} seeds", name, "validation accuracy", accuracies


def vgg(bench: Bench) -> Iterator[Row]:
    """An epoch of vgg16, all images of training and validation."""
    from trainers.single import SingleTrainer

    data = bench.data.joined()
    if bench.quick:
        data = replace(data, train=data.train.first(64))
    config = bench.config(precision=bench.precisions[-1], batch_size=min(128, len(data.train)), lr=1e-4)
    trainer = SingleTrainer(partial(_network, "vgg16"), data, config)
    times = bench.repeated(lambda: trainer.step()[0].train_s)
    trainer.close()
    yield (
        f"an epoch of vgg16, {len(data.train):,} images",
        f"podium, {config.precision}, batch {config.batch_size}",
        "seconds",
        times,
    )


def forms(bench: Bench) -> Iterator[Row]:
    """The forms of each pass of a stacked convolution, for the shapes of cnn and lenet5, as part of a CUDA graph."""
    import torch

    from trainers.fused import stacked_conv

    lanes = max(bench.lanes)
    for channels, side, maps, size, padding in (
        (1, 28, 32, 3, 1),
        (32, 14, 64, 3, 1),
        (64, 14, 32, 3, 1),  # the gradient of the images before
        (1, 28, 6, 5, 0),
        (6, 12, 16, 5, 0),
    ):
        case = f"convolution {size}x{size}, {channels} to {maps} maps of {side}x{side}, {lanes} lanes, batch 64"
        for precision in bench.precisions:
            dtype = torch.bfloat16 if precision == "bf16" else torch.float32
            x = torch.randn(64, lanes * channels, side, side, device=bench.device, dtype=dtype)
            if channels > 1:  # as from the layer before
                x = x.contiguous(memory_format=torch.channels_last)
            weight = torch.randn(lanes, maps, channels, size, size, device=bench.device, dtype=dtype)
            y = stacked_conv.grouped(x, weight, None, padding)
            for name, form in stacked_conv.forward_forms().items():
                times = bench.repeated(partial(_form_ms, bench, partial(form, x, weight, None, padding)))
                yield case, f"forward, {name}, {precision}", "milliseconds", times
            for name, form in stacked_conv.gradient_forms().items():
                times = bench.repeated(partial(_form_ms, bench, partial(form, x, y, size, padding, lanes)))
                yield case, f"gradient of the weights, {name}, {precision}", "milliseconds", times


def _form_ms(bench: Bench, compute: Callable[[], Any]) -> float:
    from trainers.fused.stacked_conv import seconds

    if bench.device == "cuda":
        return 1000 * seconds(compute)
    began = time.perf_counter()
    compute()
    return 1000 * (time.perf_counter() - began)


def _network(name: str) -> Any:
    from models import build_model

    return build_model(name, (1, 28, 28), 10)


_cnn = partial(_network, "cnn")


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


def _processes(bench: Bench) -> list[float]:
    """Images a second of so many processes with a plain loop each, which share the device; after once to warm up."""
    from torch import multiprocessing

    from tests.benchmarks.peers.resident_loop import process

    context = multiprocessing.get_context("spawn")
    barrier, times = context.Barrier(PROCESSES), context.Queue()
    train = bench.data.train.normalized()
    rounds = 1 + bench.repetitions
    arguments = ((train.images.cpu().numpy(), train.labels.cpu().numpy()), bench.device, barrier, times, rounds)
    every = [context.Process(target=process, args=(*arguments, seed)) for seed in range(PROCESSES)]
    for each in every:
        each.start()
    slowest = [max(times.get(timeout=300) for _ in every) for _ in range(rounds)]  # all end a round before the next
    for each in every:
        each.join()
    return [PROCESSES * len(train) / seconds for seconds in slowest[1:]]


CASES: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "throughput": throughput,
    "engine": engine,
    "to-99": to_99,
    "precision": precision,
    "vgg16": vgg,
    "forms": forms,
}
