"""The settings of what comes of the trials: finals, files and what is printed. The text under a field is its help."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hpo.spec.checks import at_least, check_name
from hpo.spec.help_groups import FINALS, OPTIONS, OUTPUT
from hpo.spec.settings import CHANGEABLE, MANY, OF_ONE_CALL, SWITCH
from hpo.store.places import RESULTS
from hpo.system.errors import UserError


@Parameter(name="*", group=FINALS)
@dataclass(frozen=True, kw_only=True)
class FinalsSpec:
    """What comes of the trials in the end."""

    finalists: int = field(default=1, metadata=CHANGEABLE)
    """Number of best trials of each architecture to train again with fresh seeds. Only they see the test images. 0
    leaves this out."""
    final_seeds: int = field(default=3, metadata=CHANGEABLE)
    """Number of networks to train of each finalist, each with a seed of its own."""
    rank_by: Annotated[tuple[str, ...], MANY] = ()
    """How trials are ranked: the metric, parameters and time in another order, as in parameters accuracy, or weights
    such as accuracy=1 time=0.2. [default: the metric, parameters, time]"""
    one_standard_error: Annotated[bool, SWITCH] = False
    """Takes as the winner the smallest network whose accuracy is within one standard error of the best."""

    def __post_init__(self) -> None:
        at_least("--finalists", self.finalists, 0)
        at_least("--final-seeds", self.final_seeds, 1)


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True, kw_only=True)
class OutputSpec:
    """Where results go, and what is shown."""

    name: Annotated[str | None, Parameter(group=OPTIONS)] = field(default=None, metadata=OF_ONE_CALL)
    """Name of the run, and of its folder in --results-dir. [default: the architectures and the time]"""
    results_dir: Path = field(default=RESULTS, metadata=OF_ONE_CALL)
    """Folder of all runs."""
    resume: Annotated[str | None, Parameter(group=OPTIONS)] = field(default=None, metadata=OF_ONE_CALL)
    """Name, or folder, of an earlier run to continue. It keeps its flags; --trials and the flags for time and resources
    can be given anew."""
    tensorboard: Annotated[bool, SWITCH] = field(default=False, metadata=CHANGEABLE)
    """Also writes each trial's curves for TensorBoard into the run's folder."""
    mlflow: str | None = field(default=None, metadata=CHANGEABLE)
    """URI of an MLflow tracking server or store. Each trial is logged there too. [default: none]"""
    profile: Annotated[bool, SWITCH] = field(default=False, metadata=OF_ONE_CALL)
    """Also writes timeline.json: what the driver and the trials did when, for https://ui.perfetto.dev."""
    live: Annotated[bool, SWITCH] = field(default=False, metadata=OF_ONE_CALL)
    """Serves the page of the run on this machine while it works, and prints its address, as hpo watch does."""
    quiet: Annotated[bool, SWITCH] = field(default=False, metadata=OF_ONE_CALL)
    """Prints only where the results are."""
    dry_run: Annotated[bool, SWITCH, Parameter(group=OPTIONS)] = field(default=False, metadata=OF_ONE_CALL)
    """Prints what would be run, and runs nothing."""

    def __post_init__(self) -> None:
        check_name("--name", self.name)
        if self.resume and len(Path(self.resume).parts) > 1:
            self._split_resume(Path(self.resume))
        check_name("--resume", self.resume)
        if self.name and self.resume and self.name != self.resume:
            raise UserError(f"--name {self.name}: a resumed run keeps its name, {self.resume}")

    def _split_resume(self, folder: Path) -> None:
        """Takes a folder to resume for its name and --results-dir. Raises UserError where another one is given."""
        if self.results_dir not in (RESULTS, folder.parent):
            raise UserError(f"--resume {folder}: is not in --results-dir {self.results_dir}; give one of the two")
        object.__setattr__(self, "results_dir", folder.parent)
        object.__setattr__(self, "resume", folder.name)
