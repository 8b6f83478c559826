"""What `hpo evaluate` can be asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hpo.spec.checks import choice
from hpo.spec.settings import SWITCH, TrainSpec
from hpo.system.files import check_output

SPLITS = ("test", "validation", "train")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class EvaluateSpec:
    """What is evaluated, and how it is shown."""

    split: str = "test"
    """test, validation or train."""
    dataset: str | None = None
    """Another data set of the same classes and image size. [default: the one of the training]"""
    data_dir: Path | None = None
    """Where data sets are looked for and downloaded to. [default: $PODIUM_DATA_DIR, or data]"""
    train: Annotated[TrainSpec, Parameter(name="*")] = field(default_factory=TrainSpec)
    json: Annotated[bool, SWITCH] = False
    """Prints JSON instead of tables: overall and per class precision, recall, f1 and num_samples."""
    misclassified: Path | None = None
    """Draws the images that it is most sure of and wrong about into this file, NAME.png."""
    model: OwnModel = None

    def __post_init__(self) -> None:
        choice("--split", self.split, SPLITS)
        if self.misclassified:
            check_output("--misclassified", self.misclassified, ".png")


OwnModel = Annotated[
    str | None,
    Parameter(help="MODULE:NAME of an architecture of your own: code that a file names runs only if you name it too."),
]
