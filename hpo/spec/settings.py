"""The groups of settings of a study. The text under a field is the help of its flag."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from hpo.spec.checks import at_least, check_name, check_seed, choice, seconds, unknown
from hpo.system.errors import UserError
from hpo.trials.objectives import OBJECTIVES, SEVERAL
from models import MODELS, is_known
from trainers.config import PRECISIONS

SAMPLERS = ("tpe", "random", "gp", "cmaes", "nsgaii")


SCHEDULERS = ("auto", "asha", "none")


DEVICES = ("auto", "cpu", "cuda", "mps")


MANY = Parameter(consume_multiple=True, negative=(), show_default=False)


SWITCH = Parameter(negative=(), show_default=False)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SearchSpec:
    """What is searched, and how."""

    model: Annotated[tuple[str, ...], MANY] = ("cnn",)
    """Architectures to tune, one after another; all takes every one. [default: cnn]"""
    trials: int = 50
    """Trials per architecture."""
    epochs: int = 10
    """Epochs of a trial that is not stopped early."""
    objective: Annotated[tuple[str, ...], MANY] = ("accuracy",)
    """What is searched for: accuracy, or several of accuracy, parameters and time at once. [default: accuracy]"""
    sampler: str = "tpe"
    """Optuna's sampler: tpe, random, gp, cmaes or nsgaii."""
    scheduler: str = "auto"
    """Early stopping: asha (rungs at 1, 3, 9, ... epochs), none, or auto: asha for tpe and random."""
    seed: int = 0
    """Of the sampler and, plus its number, of each trial."""
    fixed: Annotated[tuple[str, ...], MANY, Parameter(name="--set")] = ()
    """Fixes a hyperparameter: --set lr=0.01"""
    ranges: Annotated[tuple[str, ...], MANY, Parameter(name="--range")] = ()
    """Narrows a hyperparameter: --range lr=1e-4:1e-2:log"""
    space: Annotated[dict[str, dict[str, Any]], Parameter(parse=False)] = field(default_factory=dict)
    """The [space.MODEL] tables of a --config file."""
    search_widths: Annotated[bool, SWITCH] = False
    """Searches the widths of layers too, of the architectures that have a width_1."""
    max_parameters: int | None = None
    """Trains no network with more parameters; leaves out architectures that have more in any configuration."""
    time_budget: str | None = None
    """Stops asking for trials after this long (90s, 10m, 2h) and ends the running ones at their next epoch."""
    trial_timeout: str | None = None
    """Ends a trial that takes longer than this (90s, 10m, 2h): its row is failed, the study goes on."""
    storage: str | None = None
    """Any Optuna RDB URL instead of the run's own study.db."""
    study: str | None = None
    """Works on the study of this name in --storage, together with other drivers. [default: one of the run's own]"""

    def __post_init__(self) -> None:
        models = tuple(self.model)
        if not models:
            raise UserError(f"--model: choose from {', '.join(MODELS)}, all")
        for name in models:
            if name != "all" and not is_known(name):
                raise unknown(f"--model {name}", name, (*MODELS, "all"), ", or give MODULE:NAME")
        chosen = tuple(MODELS) if "all" in models else tuple(dict.fromkeys(models))
        object.__setattr__(self, "model", chosen)
        choice("--sampler", self.sampler, SAMPLERS)
        choice("--scheduler", self.scheduler, SCHEDULERS)
        self._check_objective()
        check_name("--study", self.study)
        if self.study and not self.storage:
            raise UserError(f"--study {self.study}: give the --storage that all drivers share")
        at_least("--trials", self.trials, 1)
        at_least("--epochs", self.epochs, 1)
        check_seed(self.seed)
        at_least("--max-parameters", self.max_parameters, 1)
        with_widths = [name for name, architecture in MODELS.items() if architecture.widths]
        if self.search_widths and not set(chosen) & set(with_widths):
            raise UserError(f"--search-widths: is for {', '.join(with_widths)}; --model has none of them")
        for flag, duration in (("--time-budget", self.time_budget), ("--trial-timeout", self.trial_timeout)):
            if duration is not None:
                seconds(duration, flag)

    def _check_objective(self) -> None:
        said = f"--objective {' '.join(self.objective)}"
        for name in self.objective:
            choice("--objective", name, tuple(OBJECTIVES))
        if "accuracy" not in self.objective or len(set(self.objective)) < len(self.objective):
            raise UserError(f"{said}: give accuracy, alone or once with some of {', '.join(list(OBJECTIVES)[1:])}")
        if len(self.objective) > 1 and self.sampler not in SEVERAL:
            raise UserError(
                f"--sampler {self.sampler}: is for one objective; with {said} choose from {', '.join(SEVERAL)}"
            )
        if len(self.objective) > 1 and self.scheduler == "asha":
            raise UserError(f"--scheduler asha: stops trials by their accuracy alone; leave it out with {said}")

    @property
    def budget_s(self) -> float:
        """The time budget; infinite without one."""
        return seconds(self.time_budget) if self.time_budget else math.inf

    @property
    def stops_early(self) -> bool:
        """GP learns from completed trials alone, CMA-ES and NSGA-II ignore stopped ones, so auto keeps them whole, as
        for several objectives, of which Optuna wants none before a trial's end."""
        if len(self.objective) > 1:
            return False
        return self.scheduler == "asha" or (self.scheduler == "auto" and self.sampler in ("tpe", "random"))


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """What the trials train on."""

    dataset: str = "auto"
    """auto (MNIST if at hand, else digits), mnist, fashion-mnist, digits, or a folder or .tar of images."""
    data_dir: Path | None = None
    """Where data sets are looked for and downloaded to. [default: $PODIUM_DATA_DIR, or data]"""
    train_size: int | None = None
    """Takes a stratified subset of this many training images."""
    mean: float | None = None
    """Normalizes with this mean instead of the training split's (pixels in [0, 1])."""
    std: float | None = None
    """Normalizes with this standard deviation instead of the training split's."""

    def __post_init__(self) -> None:
        from trainers.data.idx import FAMILIES

        if os.sep not in self.dataset and not os.path.exists(self.dataset):
            choice("--dataset", self.dataset, ("auto", *FAMILIES, "digits"), ", or give a folder or .tar")
        at_least("--train-size", self.train_size, 1)
        if self.std is not None and not (math.isfinite(self.std) and self.std > 0):
            raise UserError(f"--std {self.std}: must be over 0")
        if self.mean is not None and not math.isfinite(self.mean):
            raise UserError(f"--mean {self.mean}: must be a finite number")

    @property
    def directory(self) -> Path:
        return self.data_dir or Path(os.environ.get("PODIUM_DATA_DIR") or "data")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """How each trial trains."""

    precision: str = "auto"
    """float32, bf16 (autocast; weights stay float32), or auto: in a search, bf16 where it is faster and as accurate."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""

    def __post_init__(self) -> None:
        choice("--precision", self.precision, ("auto", *PRECISIONS))
        choice("--device", self.device, DEVICES)

    @property
    def plain_precision(self) -> str:
        """For what is no search: auto is float32 there."""
        return "float32" if self.precision == "auto" else self.precision


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ResourceSpec:
    """What the trials run on."""

    cpus_per_trial: int = 1
    """CPUs, and torch threads, of a trial, or of each of its workers."""
    gpus_per_trial: float | str | None = None
    """GPUs of a trial, or of each of its workers; a fraction shares one, auto measures which. [default: 1 on cuda]"""
    fuse: str | int = "auto"
    """Trains so many trials of one shape as one network: a number, off, or auto: on a GPU where it is faster."""
    workers_per_trial: int = 1
    """Processes that share each batch of a trial, on one node or several."""
    concurrency: int | None = None
    """Trials, or arrays of fused ones, at once. [default: as many as the resources hold]"""
    address: str | None = None
    """A Ray cluster to join (auto or HOST:PORT) instead of this machine alone."""
    storage_path: str | None = None
    """Where all nodes can write checkpoints: a shared folder or s3://BUCKET/PATH. [default: with the driver]"""

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
        gpus = self.gpus_per_trial
        if isinstance(gpus, str):
            choice("--gpus-per-trial", gpus, ("auto",), ", or give a number of GPUs")
            if self.workers_per_trial > 1:
                raise UserError("--gpus-per-trial auto: is for trials of one worker; give a number")
            return
        if gpus is not None and not (math.isfinite(gpus) and gpus >= 0):
            raise UserError(f"--gpus-per-trial {gpus}: must be 0 or more")
        if gpus is not None and not (gpus == 0 or 0 < gpus < 1 or (gpus >= 1 and gpus == int(gpus))):
            raise UserError(f"--gpus-per-trial {gpus:g}: must be 0, a fraction of one GPU or a whole number")
        if gpus is not None and gpus % 1 and self.workers_per_trial > 1:
            raise UserError(f"--gpus-per-trial {gpus:g}: each of --workers-per-trial needs a GPU of its own, or none")

    def bundles(self, gpus: float) -> list[dict[str, float]]:
        """What a trial reserves of Ray's resources, a bundle for each of its workers with so many GPUs."""
        each = {"CPU": float(self.cpus_per_trial), "GPU": gpus}
        return [{name: count for name, count in each.items() if count}] * self.workers_per_trial

    def _check_fuse(self) -> None:
        if isinstance(self.fuse, str) and re.fullmatch(r"-?\d+", self.fuse):
            object.__setattr__(self, "fuse", int(self.fuse))
        if isinstance(self.fuse, str):
            choice("--fuse", self.fuse, ("auto", "off"), ", or give a number of trials")
            return
        at_least("--fuse", self.fuse, 2)
        if self.workers_per_trial > 1:
            raise UserError(f"--fuse {self.fuse}: is for trials of one worker; leave out --workers-per-trial")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class FinalsSpec:
    """What comes of the trials in the end."""

    finalists: int = 1
    """The best trials of each architecture that are trained anew, with fresh seeds, and tested once; 0: none."""
    final_seeds: int = 3
    """Networks, each with a seed of its own, of every finalist."""
    rank_by: Annotated[tuple[str, ...], MANY] = ()
    """Another order of accuracy, parameters and time, or weights: accuracy=1 time=0.2 [default: in that order]"""
    one_standard_error: Annotated[bool, SWITCH] = False
    """The winner is the smallest trial within a standard error of the best accuracy."""

    def __post_init__(self) -> None:
        from hpo.trials.ranking import RankBy

        at_least("--finalists", self.finalists, 0)
        at_least("--final-seeds", self.final_seeds, 1)
        RankBy.of(self.rank_by)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class OutputSpec:
    """Where results go, and what is shown."""

    name: str | None = None
    """Of the run's folder. [default: the architectures and the time]"""
    results_dir: Path = Path("results")
    """Where the run's folder is made."""
    resume: str | None = None
    """Goes on with the run of this name; its flags are taken over, --trials may be larger."""
    tensorboard: Annotated[bool, SWITCH] = False
    """Writes each trial's curves for TensorBoard too, into the run's folder."""
    mlflow: str | None = None
    """Logs each trial to the MLflow tracking server or store at this URI too."""
    quiet: Annotated[bool, SWITCH] = False
    """Prints only where the results are."""
    dry_run: Annotated[bool, SWITCH] = False
    """Prints what would be run, and runs nothing."""

    def __post_init__(self) -> None:
        check_name("--name", self.name)
        check_name("--resume", self.resume)
        if self.name and self.resume and self.name != self.resume:
            raise UserError(f"--name {self.name}: a resumed run keeps its name, {self.resume}")


OF_ONE_CALL = (
    "name",
    "results_dir",
    "resume",
    "quiet",
    "dry_run",
    "address",
)  # settings a resumed run does not inherit


GROUPS: dict[str, Any] = {
    "search": SearchSpec,
    "data": DataSpec,
    "train": TrainSpec,
    "resources": ResourceSpec,
    "finals": FinalsSpec,
    "output": OutputSpec,
}


FLAG_NAMES = {"fixed": "set", "ranges": "range"}


def all_settings() -> Iterable[tuple[str, str, str]]:
    """(group, field, name as the user writes it) of every setting."""
    for group, kind in GROUPS.items():
        for item in fields(kind):
            yield group, item.name, FLAG_NAMES.get(item.name, item.name)


def setting_names() -> list[str]:
    """Of all settings, as the user writes them."""
    return [key for _, _, key in all_settings()]
