"""The settings of `hpo baselines`. The text under a field is the help of its flag."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hpo.spec.checks import at_least, choice, whole_or_text
from hpo.spec.settings import MANY, SWITCH, SkipBroken, TrainSpec
from hpo.system.errors import UserError
from trainers.cpu.count import usable_cpus


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class BaselinesSpec:
    """Which recipes are trained, how often, and where the tables go."""

    system: str | None = None
    """The system to reproduce: A, B, C, D, E or P. [default: all]"""
    model: Annotated[tuple[str, ...], MANY] = ()
    """Only these architectures of the system. [default: all]"""
    seeds: int = 3
    """Number of runs per recipe. They use the seeds 0, 1, 2, ..."""
    max_epochs: int | None = None
    """Limits the epochs of a run. A table row with fewer epochs than the recipe says so. [default: the recipe's]"""
    jobs: str | int = 1
    """Number of runs at the same time, or auto for one per CPU. Each has a process with one thread."""
    again: Annotated[bool, SWITCH] = False
    """Repeats runs that have finished before."""
    yes: Annotated[bool, SWITCH] = False
    """Does not ask, on a terminal, before vgg16 is trained on a CPU."""
    dataset: str = "mnist"
    """The data set. The published results are for mnist. With another one, the files are called baselines-NAME."""
    data_dir: Path | None = None
    """The folder of the data sets. Missing ones are downloaded to it. [default: $PODIUM_DATA_DIR, or data]"""
    skip_broken: SkipBroken = False
    train: Annotated[TrainSpec, Parameter(name="*")] = field(default_factory=TrainSpec)
    out: Path = Path("results/baselines")
    """The folder for baselines.jsonl (one line per run), baselines.csv and baselines.md."""

    def __post_init__(self) -> None:
        at_least("--seeds", self.seeds, 1)
        at_least("--max-epochs", self.max_epochs, 1)
        self._check_jobs()
        if self.dataset == "auto":
            raise UserError("--dataset auto: name the data set; choose from mnist, fashion-mnist, digits")

    @property
    def at_once(self) -> int:
        """Number of runs at the same time."""
        return usable_cpus() if isinstance(self.jobs, str) else self.jobs

    @property
    def stem(self) -> Path:
        """The path of the files, without their suffix."""
        return self.out / ("baselines" if self.dataset == "mnist" else f"baselines-{Path(self.dataset).stem}")

    def _check_jobs(self) -> None:
        object.__setattr__(self, "jobs", whole_or_text(self.jobs))
        if isinstance(self.jobs, str):
            choice("--jobs", self.jobs, ("auto",), ", or give a number of runs")
        else:
            at_least("--jobs", self.jobs, 1)
