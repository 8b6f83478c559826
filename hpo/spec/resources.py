"""The settings of what trials run on. The text under a field is the help of its flag."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from cyclopts import Parameter

from hpo.spec.checks import at_least, choice, whole_or_text
from hpo.spec.help_groups import RESOURCES
from hpo.spec.settings import CHANGEABLE, OF_ONE_CALL
from hpo.system.errors import UserError


@Parameter(name="*", group=RESOURCES)
@dataclass(frozen=True, kw_only=True)
class ResourceSpec:
    """What the trials run on."""

    cpus_per_trial: int = field(default=1, metadata=CHANGEABLE)
    """CPUs, and torch threads, of a trial. With --workers-per-trial each worker has this many."""
    gpus_per_trial: float | str | None = field(default=None, metadata=CHANGEABLE)
    """GPUs of a trial. With --workers-per-trial each worker has this many. Trials share a GPU with a fraction such as
    0.5; auto measures which fraction is fastest. [default: 1 with --device cuda, otherwise 0]"""
    fuse: str | int = field(default="auto", metadata=CHANGEABLE)
    """Number of trials with the same shapes to train as one network, or off. auto does it on a GPU where it is
    faster."""
    workers_per_trial: int = 1
    """Processes that train a trial together, on one node or several. They share each batch."""
    concurrency: int | None = field(default=None, metadata=CHANGEABLE)
    """Number of trials at once. Trials that --fuse trains as one network count as one. [default: as many as the
    resources hold]"""
    address: str | None = field(default=None, metadata=OF_ONE_CALL)
    """Ray cluster to join: HOST:PORT, or auto for the one on this machine. [default: none, trials run on this
    machine]"""
    storage_path: str | None = field(default=None, metadata=CHANGEABLE)
    """Place for checkpoints that all nodes can write to: a shared folder or s3://BUCKET/PATH. [default: checkpoints go
    to the driver]"""

    def __post_init__(self) -> None:
        at_least("--cpus-per-trial", self.cpus_per_trial, 1)
        at_least("--workers-per-trial", self.workers_per_trial, 1)
        at_least("--concurrency", self.concurrency, 1)
        if self.address and "://" in self.address:
            raise UserError(
                f"--address {self.address}: give auto or HOST:PORT on one of the cluster's nodes; from elsewhere, "
                "submit: hpo submit --address http://HEAD:8265 -- (the rest of this line)"
            )
        self._check_fuse()
        self._check_gpus()

    def bundles(self, gpus: float) -> list[dict[str, float]]:
        """What a trial reserves of Ray's resources: a bundle for each of its workers, with so many GPUs."""
        each = {"CPU": float(self.cpus_per_trial), "GPU": gpus}
        return [{name: count for name, count in each.items() if count}] * self.workers_per_trial

    def _check_fuse(self) -> None:
        object.__setattr__(self, "fuse", whole_or_text(self.fuse))
        if isinstance(self.fuse, str):
            choice("--fuse", self.fuse, ("auto", "off"), ", or give a number of trials")
            return
        at_least("--fuse", self.fuse, 2)
        if self.workers_per_trial > 1:
            raise UserError(f"--fuse {self.fuse}: is for trials of one worker; leave out --workers-per-trial")

    def _check_gpus(self) -> None:
        gpus = self.gpus_per_trial
        if gpus is None:
            return
        if isinstance(gpus, str):
            choice("--gpus-per-trial", gpus, ("auto",), ", or give a number of GPUs")
            if self.workers_per_trial > 1:
                raise UserError("--gpus-per-trial auto: is for trials of one worker; give a number")
            return
        if not (math.isfinite(gpus) and gpus >= 0):
            raise UserError(f"--gpus-per-trial {gpus}: must be 0 or more")
        if gpus > 1 and gpus != int(gpus):
            raise UserError(f"--gpus-per-trial {gpus:g}: must be 0, a fraction of one GPU or a whole number")
        if gpus % 1 and self.workers_per_trial > 1:
            raise UserError(f"--gpus-per-trial {gpus:g}: each of --workers-per-trial needs a GPU of its own, or none")
