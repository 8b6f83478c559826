"""The groups of settings that several commands share. The text under a field is the help of its flag."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from hpo.spec.checks import at_least, choice
from hpo.spec.help_groups import DATA, OPTIONS, TRAINING
from hpo.spec.spaces.own_functions import check_package
from hpo.system.errors import UserError
from trainers.config import PRECISIONS
from trainers.data.names import DATASETS, MAX_SIDE, RESIZES, is_function, is_named

DEVICES = ("auto", "cpu", "cuda", "mps")
MANY = Parameter(consume_multiple=True, negative=(), show_default=False)
SWITCH = Parameter(negative=(), show_default=False)


def check_device(spec: Any) -> None:
    """Takes gpu for cuda in a spec that is being made; raises UserError for a device that is none."""
    if spec.device == "gpu":
        object.__setattr__(spec, "device", "cuda")
    choice("--device", spec.device, DEVICES)


# What a resumed run does with a setting. A setting without one of these is as it was when the run began.
CHANGEABLE = {"on_resume": "changeable"}  # as it was, unless the user says otherwise: how long, where and how fast
OF_ONE_CALL = {"on_resume": "of one call"}  # what the user says this time, or the default

SkipBroken = Annotated[
    bool,
    Parameter(
        negative=(),
        show_default=False,
        help="Leaves out images that cannot be read, instead of refusing the data set.",
    ),
]


@Parameter(name="*", group=DATA)
@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """What the trials train on."""

    dataset: Annotated[str, Parameter(group=OPTIONS)] = field(default="auto", metadata=CHANGEABLE)
    """Data set: mnist, fashion-mnist, kmnist, emnist (or emnist-letters and so on), cifar10, cifar100, svhn, digits, a
    class of torchvision.datasets as torchvision:STL10, a folder, .tar or .zip of images, an .npz file of arrays, or
    MODULE:NAME or FILE.py:NAME, your own function that makes one. auto takes MNIST if it is on this machine, otherwise
    digits."""
    data_dir: Path | None = field(default=None, metadata=CHANGEABLE)
    """Folder of data sets. A data set that is missing is downloaded into it. [default: $PODIUM_DATA_DIR, or data]"""
    train_size: int | None = None
    """Number of training images to use. They are drawn so that each class keeps its share. [default: all]"""
    image_size: str | None = None
    """Size of all images in pixels: a side, as 64, or height x width, as 48x64. [default: their own if all have one
    size, otherwise the median of their shorter sides, at most 224]"""
    resize: str = "crop"
    """How images of other sizes are made to fit: crop cuts out the centre, pad adds a border, squash gives up the
    proportions."""
    skip_broken: SkipBroken = False
    stream: Annotated[bool, SWITCH] = False
    """Reads the training images of your own function's data set anew in each epoch, so that its random transformations
    are drawn each time. Reading takes its time in each epoch."""
    mean: float | None = None
    """Mean to normalize pixels in [0, 1] with. [default: the mean of the training split]"""
    std: float | None = None
    """Standard deviation to normalize pixels in [0, 1] with. [default: that of the training split]"""

    def __post_init__(self) -> None:
        is_path = os.sep in self.dataset or os.path.exists(self.dataset)
        if is_function(self.dataset):
            check_package("--dataset", self.dataset)
        elif not is_named(self.dataset) and not is_path:
            choice("--dataset", self.dataset, DATASETS, ", or give a folder, .tar, .zip or .npz, or MODULE:NAME")
        choice("--resize", self.resize, RESIZES)
        if self.stream and not is_function(self.dataset):
            raise UserError(
                "--stream: is for a data set that a function of yours makes (--dataset FILE.py:NAME); "
                f"{self.dataset} is read once, and --augment changes its images in each epoch"
            )
        _ = self.size
        at_least("--train-size", self.train_size, 1)
        if self.std is not None and not (math.isfinite(self.std) and self.std > 0):
            raise UserError(f"--std {self.std}: must be over 0")
        if self.mean is not None and not math.isfinite(self.mean):
            raise UserError(f"--mean {self.mean}: must be a finite number")

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of --image-size. Raises UserError for what is none."""
        if self.image_size is None:
            return None
        sides = re.fullmatch(r"(\d+)(?:x(\d+))?", str(self.image_size).strip().lower())
        height, width = (int(side or sides[1]) for side in sides.groups()) if sides else (0, 0)
        if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
            raise UserError(
                f"--image-size {self.image_size}: must be a side from 1 to {MAX_SIDE} pixels, as 64, "
                "or height x width, as 48x64"
            )
        return height, width

    @property
    def directory(self) -> Path:
        """The folder of data sets that holds: the flag's, or the environment's, or data."""
        return self.data_dir or Path(os.environ.get("PODIUM_DATA_DIR") or "data")


def check_stream(trainer: str | None) -> None:
    """Raises UserError where streamed images go to a training loop of the user's own."""
    if trainer is not None:
        raise UserError(f"--stream: is for Podium's own training; --trainer {trainer} can read its images itself")


@Parameter(name="*", group=TRAINING)
@dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """How each trial trains."""

    precision: str = "auto"
    """Number format: float32 or bf16. With bf16 the layers compute in bfloat16 and the weights stay float32. auto takes
    bf16 where a search is faster with it and as accurate, otherwise float32."""
    device: Annotated[str, Parameter(group=OPTIONS)] = field(default="auto", metadata=CHANGEABLE)
    """Device to train on: cpu, cuda (or gpu) or mps. auto takes cuda if there is such a GPU, otherwise cpu."""

    def __post_init__(self) -> None:
        choice("--precision", self.precision, ("auto", *PRECISIONS))
        check_device(self)

    @property
    def plain_precision(self) -> str:
        """The precision of what is no search: auto is float32 there."""
        return "float32" if self.precision == "auto" else self.precision
