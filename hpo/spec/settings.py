"""The groups of settings that several commands share. The text under a field is the help of its flag."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

from cyclopts import Parameter

from hpo.spec.checks import at_least, choice
from hpo.system.errors import UserError
from trainers.config import PRECISIONS

DEVICES = ("auto", "cpu", "cuda", "mps")
MANY = Parameter(consume_multiple=True, negative=(), show_default=False)
SWITCH = Parameter(negative=(), show_default=False)

# What a resumed run does with a setting. A setting without one of these is as it was when the run began.
CHANGEABLE = {"on_resume": "changeable"}  # as it was, unless the user says otherwise: how long, where and how fast
OF_ONE_CALL = {"on_resume": "of one call"}  # what the user says this time, or the default


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """What the trials train on."""

    dataset: str = field(default="auto", metadata=CHANGEABLE)
    """Data set: mnist, fashion-mnist, digits, or a folder or .tar file of images. auto takes MNIST if it is on this
    machine, otherwise digits."""
    data_dir: Path | None = field(default=None, metadata=CHANGEABLE)
    """Folder of data sets. A data set that is missing is downloaded into it. [default: $PODIUM_DATA_DIR, or data]"""
    train_size: int | None = None
    """Number of training images to use. They are drawn so that each class keeps its share. [default: all]"""
    mean: float | None = None
    """Mean to normalize pixels in [0, 1] with. [default: the mean of the training split]"""
    std: float | None = None
    """Standard deviation to normalize pixels in [0, 1] with. [default: that of the training split]"""

    def __post_init__(self) -> None:
        if self.dataset != "auto" and os.sep not in self.dataset and not os.path.exists(self.dataset):
            from trainers.data.idx import FAMILIES  # numpy is not needed for --help

            choice("--dataset", self.dataset, ("auto", *FAMILIES, "digits"), ", or give a folder or .tar")
        at_least("--train-size", self.train_size, 1)
        if self.std is not None and not (math.isfinite(self.std) and self.std > 0):
            raise UserError(f"--std {self.std}: must be over 0")
        if self.mean is not None and not math.isfinite(self.mean):
            raise UserError(f"--mean {self.mean}: must be a finite number")

    @property
    def directory(self) -> Path:
        """The folder of data sets that holds: the flag's, or the environment's, or data."""
        return self.data_dir or Path(os.environ.get("PODIUM_DATA_DIR") or "data")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """How each trial trains."""

    precision: str = "auto"
    """Number format: float32 or bf16. With bf16 the layers compute in bfloat16 and the weights stay float32. auto takes
    bf16 where a search is faster with it and as accurate, otherwise float32."""
    device: str = field(default="auto", metadata=CHANGEABLE)
    """Device to train on: cpu, cuda or mps. auto takes cuda if there is such a GPU, otherwise cpu."""

    def __post_init__(self) -> None:
        choice("--precision", self.precision, ("auto", *PRECISIONS))
        choice("--device", self.device, DEVICES)

    @property
    def plain_precision(self) -> str:
        """The precision of what is no search: auto is float32 there."""
        return "float32" if self.precision == "auto" else self.precision
