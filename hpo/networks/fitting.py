"""`hpo train`, from its flags to its files: resolve the settings, load the data, train, write."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from hpo.networks.capacity import counted, least_batch
from hpo.networks.evaluation import evaluate
from hpo.networks.inherited import InheritedSettings, from_model, from_recipe, from_winner
from hpo.networks.own_criteria import check_criteria
from hpo.networks.reading import reading
from hpo.networks.training import TrainingSetup, describe, resolve_device, train_model
from hpo.networks.training_folder import TrainingFolder
from hpo.spec.commands.evaluate import EvaluateSpec
from hpo.spec.commands.fit import FitSpec
from hpo.spec.settings import DataSpec, TrainSpec
from hpo.spec.spaces.domains import in_use
from hpo.spec.spaces.own_functions import is_own
from hpo.spec.spaces.search_space import configuration, has_photos
from hpo.store import model_file
from hpo.store.model_file import arguments, data_key
from hpo.store.run_folder import check_free
from hpo.store.stored_run import read_training
from hpo.store.study_file import describe_data
from hpo.system.errors import FAILED, UserError
from hpo.system.interrupt import interrupted_code, interrupting
from hpo.system.machine import describe_machine, now
from hpo.system.text import say, single_line
from hpo.trials.metric import ACCURACY, words
from hpo.trials.records import TrialRecord, TrialState
from hpo.views.bars.epoch_bar import EpochBar
from hpo.views.evaluation import Evaluation
from hpo.views.formats import accuracy, number, plural, seconds
from hpo.views.phases import phase
from models import fetch_pretrained
from trainers.config import FitResult, TrainConfig, of_trainer, split_config
from trainers.data.dataset import Dataset, load_dataset
from trainers.data.names import is_function

DEFAULT_EPOCHS = 10


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """A command line with everything resolved."""

    setup: TrainingSetup
    config: dict[str, Any]
    """All hyperparameters by name, those of the architecture and those of the training."""
    dataset: Dataset
    train_size: int | None
    parameters: int


def run_fit(spec: FitSpec) -> int:
    """Trains what `spec` asks for; returns the exit code.

    Raises UserError, DataError or ModelError for the user's mistakes, before anything is written.
    """
    check_free(spec.results_dir, spec.name)
    plan = _plan(spec)
    folder = _create(spec, plan)
    if not spec.quiet:
        _show(plan)
    fitted, wall_time_s, signalled = _train(plan, folder, spec.quiet)
    record = _record(folder.path.name, plan, fitted, wall_time_s)
    folder.finish(fitted, record, plan.dataset, plan.setup.train)
    with phase("writing the report", quiet=spec.quiet):
        _write_page(folder, plan)
    return _end(spec, folder, record, signalled)


def _plan(spec: FitSpec) -> TrainingPlan:
    inherited = _inherited(spec)
    _check_trusted(spec, inherited)
    values = {key: (f"{key}={value}", value) for key, value in inherited.config.items()}
    given = {**values, **spec.hyperparameters.given()}
    config = configuration(inherited.model, given, spec.trainer)
    setup = _setup(spec, inherited, config)
    if inherited.dataset and spec.data.dataset != "auto" and data_key(spec.data.dataset) != inherited.dataset:
        inherited = inherited.on_other_data()
    train_size = spec.data.train_size or inherited.train_size
    dataset = _load(spec, inherited, train_size)
    if inherited.hashes and dataset.hashes != inherited.hashes and spec.data == DataSpec(data_dir=spec.data.data_dir):
        print(f"note: {dataset.name} has changed since the earlier training", file=sys.stderr)
    if has_photos(dataset.name, dataset.input_shape[0]):
        config = configuration(inherited.model, given, spec.trainer, of_photos=True)
        setup = _setup(spec, inherited, config)
    check_criteria([setup.train.loss], setup.train.metric, len(dataset.classes))
    parameters = counted(setup.model, dataset, config, setup.train.device)
    if setup.train.batch_size < (needed := least_batch(setup.model, dataset, setup.arch)):
        raise UserError(
            f"--batch-size {setup.train.batch_size}: {setup.model} needs batches of at least {needed} images"
        )
    return TrainingPlan(
        setup=setup,
        config=config,
        dataset=dataset,
        train_size=train_size,
        parameters=parameters,
    )


def _inherited(spec: FitSpec) -> InheritedSettings:
    if spec.origin is not None:
        return from_winner(spec.origin, spec.model)
    return from_model(spec.model) if spec.recipe is None else from_recipe(spec.recipe, spec.model)


def _check_trusted(spec: FitSpec, inherited: InheritedSettings) -> None:
    """Raises UserError where an earlier run names a loss or a metric of somebody's own that the user does not name."""
    data = None if spec.data.dataset == "auto" else spec.data.dataset
    loss = spec.hyperparameters.given().get("loss")
    given = {"loss": loss, "metric": spec.metric, "trainer": spec.trainer, "dataset": data}
    named = {"loss": inherited.config.get("loss"), "metric": inherited.metric, "trainer": inherited.trainer}
    if inherited.dataset and is_function(inherited.dataset):
        named["dataset"] = inherited.dataset
    for what, name in named.items():
        if is_own(name) and given[what] is None:
            raise UserError(
                f"--from {spec.origin}: uses the {what} {name}, whose code would run; to trust it, add --{what} {name}"
            )


def _setup(spec: FitSpec, inherited: InheritedSettings, config: dict[str, Any]) -> TrainingSetup:
    train, arch = split_config(config)
    fetch_pretrained(inherited.model, arch)
    made = TrainConfig(
        **train,
        epochs=spec.epochs or inherited.epochs or DEFAULT_EPOCHS,
        precision=spec.precision or inherited.precision or "float32",
        metric=spec.metric or inherited.metric or ACCURACY,
        device=resolve_device(spec.device),
        threads=spec.threads,
        seed=spec.seed if spec.seed is not None else inherited.seed or 0,
    )
    return TrainingSetup(
        model=inherited.model, train=made, arch=arch, trainer=spec.trainer, of_trainer=of_trainer(config)
    )


def _load(spec: FitSpec, inherited: InheritedSettings, train_size: int | None) -> Dataset:
    data = spec.data
    name = data.dataset if data.dataset != "auto" else inherited.dataset or "auto"
    mean = inherited.mean if data.mean is None else data.mean
    std = inherited.std if data.std is None else data.std
    size, skips = data.size or inherited.size, data.skip_broken or inherited.skip_broken
    resize = inherited.resize if data.resize == DataSpec.resize and inherited.resize else data.resize
    with reading(name, size, resize, skips, data.stream or inherited.stream) as options:
        return load_dataset(name, data.directory, mean=mean, std=std, train_size=train_size, options=options)


def _create(spec: FitSpec, plan: TrainingPlan) -> TrainingFolder:
    setup = plan.setup
    description = describe(spec.name or "", setup, plan.dataset, plan.train_size)
    settings = {
        "model": setup.model,
        "parameters": plan.parameters,
        "config": plan.config,
        "train": asdict(setup.train),
        "data": describe_data(plan.dataset),
        "started": now(),
        **describe_machine(),
    }
    return TrainingFolder.create(spec.results_dir, spec.name, description, settings)


def _show(plan: TrainingPlan) -> None:
    train, data = plan.setup.train, plan.dataset
    if data.notice:
        say(f"note: {data.notice}")
    say(f"model:  {plan.setup.model} ({number(plan.parameters)} parameters)")
    say(f"config: {' '.join(f'{key}={value}' for key, value in in_use(plan.config).items())}")
    say(f"data:   {data}")
    say(f"run:    {plural(train.epochs, 'epoch')}, seed {train.seed}, {train.precision} on {train.device}")


def _train(plan: TrainingPlan, folder: TrainingFolder, quiet: bool) -> tuple[FitResult, float, int]:
    """Trains, and keeps every epoch when it ends. Ctrl-C or SIGTERM ends the training with what there is.

    Returns the result, the seconds it took, and the exit code of a signal, 0 without one. An error before the end of
    the first epoch leaves no folder.
    """
    started, signalled, fitted = time.perf_counter(), 0, FitResult()
    with EpochBar(plan.setup.train.epochs, quiet, plan.setup.train.metric) as bar, interrupting():

        def report(so_far: FitResult) -> None:
            nonlocal fitted
            fitted = so_far
            folder.keep(so_far, _record(folder.path.name, plan, so_far, time.perf_counter() - started))
            bar.reported(so_far)

        try:
            train_model(plan.setup, plan.dataset, report, watch=bar.within)
        except KeyboardInterrupt as error:
            signalled = interrupted_code(error)
        except Exception:
            if not fitted.curve:
                folder.discard()
            raise
    return fitted, time.perf_counter() - started, signalled


def _record(name: str, plan: TrainingPlan, fitted: FitResult, wall_time_s: float) -> TrialRecord:
    train = plan.setup.train
    whole = len(fitted.curve) == train.epochs
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
        metric=train.metric,
        device=train.device,
        wall_time_s=wall_time_s,
        **fitted.measured(),
    )


def _write_page(folder: TrainingFolder, plan: TrainingPlan) -> None:
    """Writes report.html; says so on stderr where that fails, which must not cost the trained weights."""
    from hpo.views.page.training import write_training_page

    def evaluated(_: TrialRecord) -> Evaluation:
        description, network = model_file.load(folder.path, plan.setup.model)
        spec = EvaluateSpec(split="validation", train=TrainSpec(device=plan.setup.train.device))
        return evaluate(description, network, plan.dataset, spec)

    try:
        if folder.kept and (training := read_training(folder.path)):
            write_training_page(training, folder.report_html, evaluated)
    except Exception as error:
        print(f"hpo: the report could not be written ({single_line(str(error))[:200]})", file=sys.stderr)


def _end(spec: FitSpec, folder: TrainingFolder, record: TrialRecord, signalled: int) -> int:
    """Prints the last lines; returns the exit code."""
    if not spec.quiet and record.best_epoch is not None:
        best = f"{accuracy(record.value)} in epoch {record.best_epoch} of {record.epochs}"
        say(f"Best validation {words(record.metric)}: {best}, {seconds(record.wall_time_s)}")
        say(f"curves:  {folder.curves_csv}, {folder.curves_png}")
        if folder.report_html.exists():
            say(f"report:  {folder.report_html}")
        say(f"weights: {folder.best_pt}")
        say(f"To test it, once: hpo evaluate {arguments(folder.path, record.model)}")
    elif spec.quiet:
        print(folder.path)
    if signalled:
        print(f"hpo: interrupted; the epochs that were trained are in {folder.path}", file=sys.stderr)
        return signalled
    if record.state == TrialState.DIVERGED:
        print(f"hpo: the loss is not finite in epoch {record.epochs}; use a lower --lr", file=sys.stderr)
        return FAILED
    return 0
