"""Trains the trials of the tables, for some hours.

    PODIUM_DATA_DIR=... python -m tests.benchmarks.tables.make --out FOLDER

Each of the 12 tables, an architecture on a data set, holds 600 configurations of Podium's default search space, each
trained for 9 epochs on one CPU thread; the first 60 of them twice. The tables grow together, 50 configurations at a
time, so that a part of the work is of use too. FOLDER gets a file for each table, with a line for each trial. The
command can be stopped at any moment; when it is started again, it goes on. Then tests.benchmarks.tables.pack makes one
file of them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from models import build_model
from tests.benchmarks.tables.configurations import (
    ARCHITECTURES,
    SPACES,
    default_spaces,
    draw,
    read_spaces,
    write_spaces,
)
from tests.benchmarks.tables.images import DATASETS, training_data
from trainers.config import TrainConfig, split_config
from trainers.cpu.memory import keep_freed_memory
from trainers.data.splits import TrainingData
from trainers.loop import evaluate
from trainers.single import SingleTrainer

EPOCHS = 9
FRACTIONS = (1 / 8, 1 / 4, 1 / 2)  # of the first epoch, after which the validation accuracy is measured too
CONFIGURATIONS, REPEATED, BLOCK = 600, 60, 50
SEEDS_APART = 10_000  # between the training seeds of the first and the second trial of a configuration
# The slower ones get fewer images, and train in bf16: the 12 tables are a night's work of one CPU.
TRAINING_IMAGES = {"mlp_small": 5000, "lenet5": 2500, "compact_7k": 1250, "cnn": 1000}
VALIDATION_IMAGES = {"mlp_small": 2500, "lenet5": 2500, "compact_7k": 1250, "cnn": 1250}
PRECISION = {"mlp_small": "float32", "lenet5": "float32", "compact_7k": "bf16", "cnn": "bf16"}


@dataclass(frozen=True)
class Task:
    """A trial that is to be trained."""

    architecture: str
    dataset: str
    number: int
    """Of the configuration."""
    repetition: int
    """0, or 1 where the configuration is trained again with another seed."""

    @property
    def file(self) -> str:
        return f"{self.architecture}-{self.dataset}.jsonl"

    @property
    def seed(self) -> int:
        return self.number + SEEDS_APART * self.repetition


def tasks(architectures: Sequence[str] = ARCHITECTURES) -> Iterator[Task]:
    """Yields all trials of these architectures in the order in which they are trained."""
    for first in range(0, CONFIGURATIONS, BLOCK):
        for dataset in DATASETS:
            for architecture in architectures:
                numbers = range(first, first + BLOCK)
                yield from (Task(architecture, dataset, number, 0) for number in numbers)
                yield from (Task(architecture, dataset, number, 1) for number in numbers if number < REPEATED)


def train(architecture: str, data: TrainingData, params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Trains one trial as a search does; returns its validation accuracies and its seconds of training per epoch.

    These are CPU seconds, so that it does not matter what else the machine does.
    """
    settings, arch = split_config(params)
    classes = int(data.train.labels.max()) + 1
    make = partial(build_model, architecture, tuple(data.train.images.shape[1:]), classes, **arch)
    early: list[float] = []
    looked = 0.0

    def look(done: float) -> None:
        """Measures the accuracy in the middle of the first epoch. This changes nothing of the training."""
        nonlocal looked
        began = time.process_time()
        while len(early) < len(FRACTIONS) and done >= FRACTIONS[len(early)]:
            early.append(_accuracy(trainer))
        looked += time.process_time() - began

    config = TrainConfig(**settings, epochs=EPOCHS, precision=PRECISION[architecture], threads=1, seed=seed)
    trainer = SingleTrainer(make, data, config, look)
    began = time.process_time()
    results = [result for _ in range(EPOCHS) for result in trainer.step()]
    whole = time.process_time() - began
    trainer.close()
    # An evaluation after an epoch takes as long as one in the middle of it.
    seconds = (whole - looked) / EPOCHS - looked / len(FRACTIONS)
    accuracies = [*early, *(result.val_accuracy for result in results)]
    return {"accuracies": [round(value, 4) for value in accuracies], "seconds": float(f"{seconds:.3g}")}


def _accuracy(trainer: SingleTrainer) -> float:
    """Returns the validation accuracy of the averaged weights, as after an epoch."""
    with trainer.average.applied() if trainer.average else nullcontext():
        _, accuracy = evaluate(trainer.model, trainer.data.validation, trainer.config.precision)
    trainer.model.train()
    return accuracy


class Maker:
    """Trains what a folder has not yet."""

    def __init__(self, folder: Path, data_dir: Path) -> None:
        """Raises ValueError where the folder's trials are of another search space."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.data_dir, self.spaces = folder, data_dir, default_spaces()
        if not (folder / SPACES).exists():
            write_spaces(folder, self.spaces)
        if read_spaces(folder) != self.spaces:
            raise ValueError(f"--out {folder}: its tables are of another search space; use another folder")
        self.done = {(file.name, *key) for file in folder.glob("*.jsonl") for key in _whole_lines(file)}

    def make(self, wanted: Sequence[Task]) -> None:
        """Trains these trials, but those that are there."""
        left = [task for task in wanted if (task.file, task.number, task.repetition) not in self.done]
        for count, task in enumerate(left, start=1):
            line = json.dumps(self._line(task))
            with (self.folder / task.file).open("a") as file:
                file.write(line + "\n")
            print(f"{count}/{len(left)} {task.architecture} {task.dataset} {line}", flush=True)

    def _line(self, task: Task) -> dict[str, Any]:
        params = draw(task.architecture, self.spaces[task.architecture], task.number)
        counts = TRAINING_IMAGES[task.architecture], VALIDATION_IMAGES[task.architecture]
        data = training_data(task.dataset, counts, self.data_dir)
        result = train(task.architecture, data, params, task.seed)
        return {"number": task.number, "repetition": task.repetition, "params": params, **result}


def _whole_lines(file: Path) -> list[tuple[int, int]]:
    """Returns (number, repetition) of the trials in a file. Its last line is removed where it was not written whole."""
    text = file.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        file.write_text(whole)
    entries = [json.loads(line) for line in whole.splitlines()]
    return [(entry["number"], entry["repetition"]) for entry in entries]


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    try:
        maker = Maker(options.out, Path(os.environ.get("PODIUM_DATA_DIR", "data")))
    except ValueError as error:
        sys.exit(f"make.py: {error}")
    keep_freed_memory()
    maker.make(list(tasks(options.architectures)))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder of the tables")
    parser.add_argument(
        "--architectures",
        nargs="+",
        choices=ARCHITECTURES,
        default=ARCHITECTURES,
        help="only these, so that several processes can share the work",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
