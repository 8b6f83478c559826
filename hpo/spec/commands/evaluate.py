"""What `hpo evaluate` can be asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hpo.spec.checks import choice
from hpo.spec.settings import SWITCH, SkipBroken, TrainSpec
from hpo.spec.spaces.own_functions import check_metric, is_own
from hpo.system.errors import UserError
from hpo.system.files import check_output

SPLITS = ("test", "validation", "train")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class EvaluateSpec:
    """What is evaluated, and how it is shown."""

    split: str = "test"
    """Part of the data set to evaluate on: test, validation or train."""
    dataset: str | None = None
    """Data set to evaluate on, with the same classes and image size. [default: the data set of the training]"""
    data_dir: Path | None = None
    """Folder of data sets. A data set that is missing is downloaded into it. [default: $PODIUM_DATA_DIR, or data]"""
    skip_broken: SkipBroken = False
    train: Annotated[TrainSpec, Parameter(name="*")] = field(default_factory=TrainSpec)
    json: Annotated[bool, SWITCH] = False
    """Prints JSON instead of tables: precision, recall, f1 and num_samples, overall and of each class."""
    misclassified: Path | None = None
    """File NAME.png to draw into: the wrongly classified images that the network is most certain of."""
    model: OwnModel = None
    trial_network: TrialNetwork = False
    metric: str | None = None
    """Metric of your own to compute beside Podium's: MODULE:NAME or FILE.py:NAME. It takes labels (N,) and
    probabilities (N, classes), NumPy arrays."""

    def __post_init__(self) -> None:
        if self.metric is not None and not is_own(self.metric):
            raise UserError(f"--metric {self.metric}: give your own, MODULE:NAME; all of Podium's are computed anyway")
        if self.metric is not None:
            check_metric(self.metric)
        choice("--split", self.split, SPLITS)
        if self.misclassified:
            check_output("--misclassified", self.misclassified, ".png")


OwnModel = Annotated[
    str | None,
    Parameter(
        help="Architecture of your own that the weights are of: MODULE:NAME or FILE.py:NAME. Its code runs only if you "
        "name it here."
    ),
]
TrialNetwork = Annotated[
    bool,
    Parameter(
        negative=(),
        help="Take the network of the winning trial, trained on the training images alone, not the one that the finals "
        "trained on the validation images, too.",
    ),
]
