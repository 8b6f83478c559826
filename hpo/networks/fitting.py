"""`hpo train` from its flags to its files: resolve > load > train > write."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hpo.networks import inherited as origins
from hpo.networks.capacity import counted, least_batch
from hpo.networks.fit_folder import FitFolder
from hpo.networks.inherited import Inherited
from hpo.networks.training import Setup, describe, resolve_device, train_model
from hpo.spec.settings import DataSpec
from hpo.spec.spaces import configuration
from hpo.store import model_file as weights
from hpo.store import run_folder as folders
from hpo.store.study_file import describe_data
from hpo.system.errors import FAILED, INTERRUPTED, UserError
from hpo.system.interrupt import interrupting
from hpo.system.machine import describe_machine
from hpo.system.text import say
from hpo.trials.records import TrialRecord, TrialState
from hpo.views.epoch_bar import EpochBar
from hpo.views.progress import accuracy
from models import fetch_pretrained
from trainers.config import FitResult, TrainConfig, split_config
from trainers.data.dataset import Dataset, load_dataset

if TYPE_CHECKING:
    from hpo.spec.fit import FitSpec

EPOCHS = 10


@dataclass(frozen=True, kw_only=True)
class FitPlan:
    """A command line with everything resolved. config: all hyperparameters by name; setup has them in two. epochs: to
    train, fewer than setup's where a winner's trial was stopped before the end of its schedule."""

    setup: Setup
    config: dict[str, Any]
    dataset: Dataset
    train_size: int | None
    epochs: int
    parameters: int


def run_fit(spec: FitSpec) -> int:
    """Trains what `spec` asks for; returns the exit code.

    Raises ValueError for the user's mistakes, before anything is written.
    """
    folders.check_free(spec.results_dir, spec.name)
    plan = _plan(spec)
    folder = _create(spec, plan)
    if not spec.quiet:
        _show(plan)
    fitted, wall_time_s, interrupted = _train(plan, folder, spec.quiet)
    record = _record(folder.path.name, plan, fitted, wall_time_s)
    folder.finish(fitted, record, plan.dataset, plan.setup.train)
    return _end(spec, folder, record, interrupted)


def _plan(spec: FitSpec) -> FitPlan:
    origin = _origin(spec)
    inherited = {key: (f"{key}={value}", value) for key, value in origin.config.items()}
    config = configuration(origin.model, {**inherited, **spec.hyperparameters.given()})
    setup = _setup(spec, origin, config)
    if origin.dataset and spec.data.dataset != "auto" and weights.data_key(spec.data.dataset) != origin.dataset:
        origin = origin.on_other_data()
    train_size = spec.data.train_size or origin.train_size
    dataset = _load(spec, origin, train_size)
    if origin.hashes and dataset.hashes != origin.hashes and spec.data == DataSpec(data_dir=spec.data.data_dir):
        print(f"note: {dataset.name} has changed since that training", file=sys.stderr)
    parameters = counted(setup.model, dataset, config, setup.train.device)
    if setup.train.batch_size < (needed := least_batch(setup.model, dataset, setup.arch)):
        raise UserError(
            f"--batch-size {setup.train.batch_size}: {setup.model} needs batches of at least {needed} images"
        )
    return FitPlan(
        setup=setup,
        config=config,
        dataset=dataset,
        train_size=train_size,
        epochs=spec.epochs or origin.epochs or EPOCHS,
        parameters=parameters,
    )


def _origin(spec: FitSpec) -> Inherited:
    if spec.origin is not None:
        return origins.of_winner(spec.origin, spec.model)
    return origins.plain(spec.model) if spec.recipe is None else origins.of_recipe(spec.recipe, spec.model)


def _setup(spec: FitSpec, origin: Inherited, config: dict[str, Any]) -> Setup:
    train, arch = split_config(config)
    fetch_pretrained(arch)
    made = TrainConfig(
        **train,
        epochs=spec.epochs or origin.horizon or EPOCHS,
        precision=spec.precision or origin.precision or "float32",
        device=resolve_device(spec.device),
        threads=spec.threads,
        seed=spec.seed if spec.seed is not None else origin.seed or 0,
    )
    return Setup(model=origin.model, train=made, arch=arch)


def _load(spec: FitSpec, origin: Inherited, train_size: int | None) -> Dataset:
    data = spec.data
    name = data.dataset if data.dataset != "auto" else origin.dataset or "auto"
    mean = origin.mean if data.mean is None else data.mean
    std = origin.std if data.std is None else data.std
    return load_dataset(name, data.directory, mean=mean, std=std, train_size=train_size)


def _create(spec: FitSpec, plan: FitPlan) -> FitFolder:
    setup = plan.setup
    description = describe(spec.name or "", setup, plan.dataset, plan.train_size)
    settings = {
        "model": setup.model,
        "parameters": plan.parameters,
        "config": plan.config,
        "train": asdict(setup.train),
        "data": describe_data(plan.dataset),
        **describe_machine(),
    }
    return FitFolder.create(spec.results_dir, spec.name, description, settings)


def _show(plan: FitPlan) -> None:
    train, data = plan.setup.train, plan.dataset
    if data.notice:
        say(f"note: {data.notice}")
    say(f"model:  {plan.setup.model} ({plan.parameters:,} parameters)")
    say(f"config: {' '.join(f'{key}={value}' for key, value in _in_use(plan.config).items())}")
    say(f"data:   {data}")
    plural = "s" if plan.epochs > 1 else ""
    say(f"run:    {plan.epochs} epoch{plural}, seed {train.seed}, {train.precision} on {train.device}")


def _in_use(config: dict[str, Any]) -> dict[str, Any]:
    """Without what nothing looks at: momentum is sgd's, the step of the schedule of that name."""
    idle = set() if config["optimizer"] == "sgd" else {"momentum"}
    idle |= set() if config["schedule"] == "step" else {"step_epochs", "step_factor"}
    return {key: value for key, value in config.items() if key not in idle}


def _train(plan: FitPlan, folder: FitFolder, quiet: bool) -> tuple[FitResult, float, bool]:
    """Trains, keeping every epoch as it ends; Ctrl-C or SIGTERM ends it with what there is.

    Returns what it came to, the seconds it took, and whether it was interrupted. An error before the first epoch has
    ended leaves no folder.
    """
    started, interrupted, fitted = time.perf_counter(), False, FitResult()
    with EpochBar(plan.epochs, quiet) as bar, interrupting():

        def report(so_far: FitResult) -> None:
            nonlocal fitted
            fitted = so_far
            folder.keep(so_far, _record(folder.path.name, plan, so_far, time.perf_counter() - started))
            bar.reported(so_far)

        try:
            train_model(plan.setup, plan.dataset, report, watch=bar.within, epochs=plan.epochs)
        except KeyboardInterrupt:
            interrupted = True
        except Exception:
            if not fitted.curve:
                folder.discard()
            raise
    return fitted, time.perf_counter() - started, interrupted


def _record(name: str, plan: FitPlan, fitted: FitResult, wall_time_s: float) -> TrialRecord:
    train = plan.setup.train
    whole = len(fitted.curve) == plan.epochs
    state = TrialState.DIVERGED if fitted.diverged else TrialState.COMPLETED if whole else TrialState.STOPPED
    return TrialRecord(
        trial_id=name,
        model=plan.setup.model,
        state=state,
        config=plan.config,
        seed=train.seed,
        parameters=plan.parameters,
        dataset=plan.dataset.name,
        precision=train.precision,
        device=train.device,
        wall_time_s=wall_time_s,
        **fitted.measured(),
    )


def _end(spec: FitSpec, folder: FitFolder, record: TrialRecord, interrupted: bool) -> int:
    """The last lines, and the exit code."""
    if not spec.quiet and record.best_epoch is not None:
        best = f"{accuracy(record.val_accuracy)} in epoch {record.best_epoch} of {record.epochs}"
        say(f"best validation accuracy: {best}, {record.wall_time_s:.1f} s")
        say(f"curves:  {folder.curves_csv}, {folder.curves_png}")
        say(f"weights: {folder.best_pt}")
        say(f"on the test split, once: hpo evaluate {weights.arguments(folder.path, record.model)}")
    elif spec.quiet:
        print(folder.path)
    if interrupted:
        print(f"hpo: interrupted; what was trained is in {folder.path}", file=sys.stderr)
        return INTERRUPTED
    if record.state == TrialState.DIVERGED:
        print(f"hpo: the loss is not finite in epoch {record.epochs}; a lower --lr helps", file=sys.stderr)
        return FAILED
    return 0
