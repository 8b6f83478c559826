"""Training throughput per architecture: Podium's engine against a plain PyTorch loop and against the processor's bound.

One thread each, batch 64, Adam, the same number of images and epochs. A side lives in a process of its own, because
Podium's also sets the memory allocator; the sides take turns, and a repetition is a seed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.benchmarks import splits
from tests.benchmarks.table import Row, row

if TYPE_CHECKING:
    import torch

EPOCHS = 2
PRODUCT = 2048  # side of the matrices that the bound is measured with
VALIDATION = {"vgg16": 64, "resnet18": 64, "torchvision:resnet18": 64}  # else 1,000 images
COMPARED = {"epochs": 3, "images": 20_000, "validation": 5000}  # for the accuracy of the two precisions
# Training images, for some seconds a side.
IMAGES = {
    "mlp": 12_800,
    "mlp_small": 12_800,
    "mlp_wide": 6400,
    "cnn": 6400,
    "cnn_dropout": 1280,
    "cnn_deep": 2560,
    "lenet5": 6400,
    "lenet5_bn": 6400,
    "compact_190k": 256,
    "compact_18k": 640,
    "compact_7k": 1280,
    "compact_6k": 640,
    "resnet20": 640,
    "resnet18": 128,
    "vgg16": 64,
    "torchvision:resnet18": 256,
}
Result = tuple[float, float]  # images per second, accuracy


def ours(  # noqa: PLR0913 - a benchmark's settings
    precision: str, name: str, data: Path, images: int, seed: int, validation: int, epochs: int = EPOCHS
) -> Result:
    import torch

    from models import build_model
    from trainers.config import TrainConfig
    from trainers.cpu.memory import keep_freed_memory
    from trainers.cpu.native import kernels
    from trainers.data.splits import TrainingData
    from trainers.single import SingleTrainer

    keep_freed_memory()
    assert kernels() is not None, "no C++ compiler: this would measure something else"
    whole = _mnist(str(data))
    few = TrainingData(whole.train.first(images), whole.validation.first(validation))
    config = TrainConfig(precision=precision, seed=seed)
    trainer = SingleTrainer(lambda: build_model(name, (1, 28, 28), 10), few, config)
    results = [trainer.step()[0] for _ in range(epochs)]
    trainer.close()
    assert torch.get_num_threads() == 1
    return images * epochs / sum(result.train_s for result in results), results[-1].val_accuracy


def plain(places: Path, name: str, data: Path, images: int, seed: int, validation: int) -> Result:
    from tests.benchmarks.peers.torch_loop import throughput

    return throughput(name, data, places, (images, validation), EPOCHS, seed)


def product_s(dtype: torch.dtype, side: int, times: int) -> float:
    """Seconds of this thread for the fastest of some products of `side` x `side` matrices, after a first one."""
    import torch

    one, other = torch.ones(side, side, dtype=dtype), torch.ones(side, side, dtype=dtype)
    took = []
    for _ in range(1 + times):
        began = time.thread_time()
        one @ other
        took.append(time.thread_time() - began)
    return min(took[1:])


def bounds(names: list[str]) -> dict[str, dict[str, float]]:
    """Images per second if a training step were nothing but its multiplications, as fast as large matrices are
    multiplied on one thread: by architecture and precision."""
    import torch
    from torch.nn import functional as F
    from torch.utils.flop_counter import FlopCounterMode

    from models import build_model

    torch.set_num_threads(1)
    dtypes = {"float32": torch.float32, "bf16": torch.bfloat16}
    rates = {name: 2 * PRODUCT**3 / product_s(dtype, PRODUCT, 10) for name, dtype in dtypes.items()}
    found = {}
    for name in names:
        with torch.device("meta"):
            model, images, labels = build_model(name, (1, 28, 28), 10), torch.empty(64, 1, 28, 28), torch.zeros(64)
            with FlopCounterMode(display=False) as counter:
                F.cross_entropy(model(images), labels.long()).backward()  # type: ignore[no-untyped-call]
        found[name] = {precision: rate * 64 / counter.get_total_flops() for precision, rate in rates.items()}
    return found


def measure(data: Path, repetitions: int, names: list[str], say: Callable[[str], None]) -> Iterator[Row]:
    with _process() as our_process, _process() as their_process, TemporaryDirectory() as folder:
        places = our_process.submit(splits.save, data, Path(folder) / "splits.npz").result()
        sides: dict[str, tuple[ProcessPoolExecutor, Callable[..., Result]]] = {
            "float32": (our_process, partial(ours, "float32")),
            "bf16": (our_process, partial(ours, "bf16")),
            "plain loop": (their_process, partial(plain, places)),
        }
        limits = [our_process.submit(bounds, names).result() for _ in range(3)]
        for name in names:
            results: dict[str, list[Result]] = {side: [] for side in sides}
            for repetition in range(-1, repetitions):
                images = 64 if repetition < 0 else IMAGES[name]  # the first warms up
                for side, (process, run) in sides.items():
                    held_out = VALIDATION.get(name, 1000)
                    result = process.submit(run, name, data, images, max(repetition, 0), held_out).result()
                    if repetition >= 0:
                        results[side].append(result)
            yield from _rows(name, results, limits)
            say(f"{name}: " + ", ".join(f"{side} {[round(v) for v, _ in r]}" for side, r in results.items()))


def compare_precisions(data: Path, seeds: int, quick: bool, say: Callable[[str], None]) -> Iterator[Row]:
    """The validation accuracy of both precisions, by seed: what --precision auto rests on."""
    from hpo.session.preflight.precision import BF16_AS_GOOD

    how = {"epochs": 1, "images": 640, "validation": 500} if quick else COMPARED
    case = f"{how['epochs']} epochs of {how['images']} images"
    with _process() as process:
        for name in BF16_AS_GOOD:
            found: dict[str, list[float]] = {"float32": [], "bf16": []}
            for seed in range(seeds):
                for precision, values in found.items():
                    _, accuracy = process.submit(ours, precision, name, data, seed=seed, **how).result()
                    values.append(accuracy)
                say(f"{name}, seed {seed}: " + ", ".join(f"{key} {values[-1]:.4f}" for key, values in found.items()))
            for precision, values in found.items():
                yield row("precision", f"{name}, {case}", precision, "validation accuracy", values)
            gains = [one - other for one, other in zip(found["bf16"], found["float32"], strict=True)]
            yield row("precision", f"{name}, {case}", "bf16", "accuracy over float32", gains)


def _rows(name: str, results: dict[str, list[Result]], limits: list[dict[str, dict[str, float]]]) -> Iterator[Row]:
    speeds = {side: [speed for speed, _ in values] for side, values in results.items()}
    for side, values in results.items():
        yield row("throughput", name, side, "images/s", speeds[side])
        yield row("throughput", name, side, f"accuracy after {EPOCHS} epochs of {IMAGES[name]}", [a for _, a in values])
    for side in ("float32", "bf16"):
        ratios = [one / other for one, other in zip(speeds[side], speeds["plain loop"], strict=True)]
        yield row("throughput", name, side, "times the plain loop", ratios)
        bound = sorted(limit[name][side] for limit in limits)[1]
        yield row("throughput", name, side, "times slower than its bound", [bound / speed for speed in speeds[side]])


def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


_CACHE: dict[str, object] = {}


def _mnist(root: str):  # type: ignore[no-untyped-def]
    from trainers.data.dataset import load_dataset

    if root not in _CACHE:
        _CACHE[root] = load_dataset("mnist", Path(root)).training
    return _CACHE[root]
