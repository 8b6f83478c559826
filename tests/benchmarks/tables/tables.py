"""The packed tables: what each configuration reached, epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hpo.spec.spaces.search_space import Space
from tests.benchmarks.tables.configurations import read_spaces

FOLDER = Path(__file__).parent
FILE = "tables.csv.xz"
# When the validation accuracy was measured, in epochs: the names of a file's columns.
MOMENTS = ("1/8", "1/4", "1/2", *(str(epoch) for epoch in range(1, 10)))
EPOCHS = 9
KEYS = ("architecture", "dataset", "number", "repetition")


@dataclass(frozen=True, eq=False)
class Table:
    """The trials of one architecture on one data set."""

    architecture: str
    dataset: str
    space: Space
    """What the configurations were drawn from."""
    configs: list[dict[str, Any]]
    """N configurations, the recipe first."""
    curves: np.ndarray
    """(N, 12): validation accuracies at each of `MOMENTS`."""
    seconds: np.ndarray
    """(N,): CPU seconds of training per epoch."""
    repeated: np.ndarray
    """(M, 12): the accuracies of the first M configurations with another training seed."""

    @property
    def name(self) -> str:
        return f"{self.architecture}, {self.dataset}"

    def by_epoch(self) -> np.ndarray:
        """Returns (N, 9): the accuracies after each whole epoch."""
        return self.curves[:, -EPOCHS:]


def load(folder: Path = FOLDER) -> list[Table]:
    """Returns all tables of a folder, which tests.benchmarks.tables.pack has written."""
    frame = pd.read_csv(folder / FILE)
    spaces = read_spaces(folder)
    groups = frame.groupby(["architecture", "dataset"], sort=False)
    return [_table(str(name), str(dataset), spaces[str(name)], rows) for (name, dataset), rows in groups]


def _table(architecture: str, dataset: str, space: Space, rows: pd.DataFrame) -> Table:
    first, again = (rows[rows["repetition"] == repetition].sort_values("number") for repetition in (0, 1))
    return Table(
        architecture=architecture,
        dataset=dataset,
        space=space,
        configs=first[list(space.distributions)].to_dict("records"),  # type: ignore[arg-type]
        curves=first[list(MOMENTS)].to_numpy(),
        seconds=first["seconds"].to_numpy(),
        repeated=again[list(MOMENTS)].to_numpy(),
    )
