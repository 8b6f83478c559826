"""LCBench as a surrogate: a network that gives the learning curve of any configuration on 34 tabular tasks.

The network is YAHPO Gym's (Pfisterer et al., 2022), trained on LCBench (Zimmer et al., 2021). It lies in
$PODIUM_DATA_DIR/lcbench. Its epoch 1 is the network before training: accuracies there are chance. So a trial's epoch
e is the surrogate's epoch e + 1, and what the surrogate needs for its epoch 1 belongs to the trial's first epoch.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import FloatDistribution, IntDistribution

EPOCHS = 50
OPTIMA = Path(__file__).with_name("optima.csv")
INPUTS = ("batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units", "max_dropout")
TASK = "OpenML_task_id"
SECONDS, ACCURACY = 0, 1  # places in the network's output
DECIMALS = 4  # of accuracies in percent, so that a CSV holds them as they are
CACHED_CURVES = 20_000
Number = IntDistribution | FloatDistribution
SPLITS = ("development", "report")


@dataclass(frozen=True)
class Curve:
    """What each epoch of a trial brings, and how many seconds it takes."""

    accuracies: np.ndarray
    """In percent, of the validation images."""
    seconds: np.ndarray


class Surrogate:
    """The learning curves of one task."""

    def __init__(self, folder: Path, task: str, untrained: bool = False) -> None:
        """untrained: counts the surrogate's epoch 1, the network before training, as a trial's first epoch."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.network = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
        self.code = json.loads((folder / "encoding.json").read_text())[TASK][task]
        self.first = 1 if untrained else 2
        self._cached = lru_cache(maxsize=CACHED_CURVES)(self._curve)

    def curve(self, config: Mapping[str, Any]) -> Curve:
        return self._cached(tuple(config[name] for name in INPUTS))

    def accuracies(self, configs: np.ndarray) -> np.ndarray:
        """The accuracies of many configurations (rows, in the order of `INPUTS`) at all epochs."""
        return self._outputs(configs)[:, self.first - 1 :, ACCURACY]

    def _curve(self, values: tuple[float, ...]) -> Curve:
        output = self._outputs(np.array([values]))[0]
        # The network's time falls now and then, by a second or two.
        clock = np.maximum.accumulate(np.maximum(output[:, SECONDS], 0))
        seconds = np.diff(clock[self.first - 1 :], prepend=0)
        return Curve(output[self.first - 1 :, ACCURACY].round(DECIMALS), seconds)

    def _outputs(self, configs: np.ndarray) -> np.ndarray:
        last = self.first + EPOCHS - 1
        epochs = np.tile(np.arange(1, last + 1), len(configs))[:, None]
        numbers = np.hstack([epochs, np.repeat(configs, last, axis=0)]).astype(np.float32)
        codes = np.full((len(numbers), 1), self.code, dtype=np.int32)
        (output,) = self.network.run(None, {"x_cat": codes, "x_cont": numbers})
        shaped: np.ndarray = output.reshape(len(configs), last, -1).astype(float)
        return shaped


def data_folder() -> Path:
    """Where LCBench lies."""
    return Path(os.environ.get("PODIUM_DATA_DIR", "data")) / "lcbench"


def tasks(folder: Path, split: str) -> list[str]:
    """Half of the tasks: those with an even place in the file are for development, the others for the report."""
    (entry,) = (entry for entry in _hyperparameters(folder) if entry["name"] == TASK)
    return list(entry["choices"][SPLITS.index(split) :: 2])


def space(folder: Path) -> dict[str, Number]:
    """The seven hyperparameters on their documented ranges and scales."""
    entries = {entry["name"]: entry for entry in _hyperparameters(folder)}
    kinds: dict[str, type[Any]] = {"uniform_int": IntDistribution, "uniform_float": FloatDistribution}
    return {
        name: kinds[entry["type"]](entry["lower"], entry["upper"], log=entry["log"])
        for name, entry in ((name, entries[name]) for name in INPUTS)
    }


def optima() -> dict[str, float]:
    """The best accuracy known of each task, which `python -m tests.benchmarks.lcbench.optima` finds."""
    with OPTIMA.open() as file:
        return {row["task"]: float(row["accuracy"]) for row in csv.DictReader(file)}


def _hyperparameters(folder: Path) -> list[dict[str, Any]]:
    return list(json.loads((folder / "config_space.json").read_text())["hyperparameters"])
