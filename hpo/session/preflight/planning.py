"""What needs the machine before anything starts: data, parameter counts, devices, resources, storage."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from hpo.networks.capacity import counted
from hpo.networks.training import check_device
from hpo.search.plan import SHARED_ATTR, ModelPlan, Plan, shared_by_drivers, study_name
from hpo.session.preflight.batches import check_batches
from hpo.session.preflight.cluster_check import check_nodes
from hpo.session.preflight.gpu_sharing import pack
from hpo.session.preflight.precision import BF16_AS_GOOD, bf16_speedup, choose_precision
from hpo.spec.checks import difference
from hpo.spec.groups import changeable_settings
from hpo.spec.spaces import Space, search_space
from hpo.spec.study import StudySpec
from hpo.store.study_db import check_no_runs_file, check_unused, open_storage
from hpo.store.study_file import WAY_ON, check_whole
from hpo.store.trackers import check_mlflow
from hpo.system.errors import UserError
from hpo.system.urls import masked
from models import MODELS, count_parameters, fetch_pretrained
from trainers.config import split_config
from trainers.data.dataset import Dataset, load_dataset

if TYPE_CHECKING:
    from optuna.storages import RDBStorage


def preflight(spec: StudySpec, stored: dict[str, Any] | None = None) -> Plan:
    """Resolves a spec on this machine; `stored` is the study.json of a run to resume.

    Raises ValueError, in one line with flag, value and choices, for whatever would fail later.
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # where a user's own architecture lies
    if stored:
        try:
            check_whole(stored)
        except ValueError as error:
            raise UserError(f"--resume {spec.output.resume}: its study.json is damaged ({error}); {WAY_ON}") from error
        spec = _resumable(spec, stored)
    _check_databases(spec)
    spaces = {name: search_space(name, spec.search) for name in spec.search.model}
    dataset = _load(spec)
    if stored:
        _check_same_data(dataset, stored)
    models, notes = _models(spec, spaces, dataset)
    resources = _available(spec)
    device = _device(spec, resources)
    models = _with_precision(models, spec, device, stored)
    gpus = _gpus_per_trial(spec, device, resources)
    packing = pack(spec, dataset, models, device, int(resources["GPU"]))
    models = tuple(replace(model, lanes=packing.lanes.get(model.name, 1)) for model in models)
    gpus = packing.gpus or gpus
    concurrency, cut = _concurrency(spec, gpus, resources)
    check_batches(models, dataset, spec.resources.workers_per_trial)
    plan = Plan(
        spec=spec,
        dataset=dataset,
        models=models,
        device=device,
        gpus_per_trial=gpus,
        concurrency=concurrency,
        cpus=int(resources["CPU"]),
        storage=None,
        notices=tuple(note for note in (dataset.notice, *notes, *packing.notes, cut, _scheduler_note(spec)) if note),
    )
    # Opening a database makes tables in it, which a dry run must not do; nor does it download.
    if spec.output.dry_run:
        return plan
    if spec.output.mlflow:
        check_mlflow(spec.output.mlflow)
    _fetch_pretrained(models)
    return replace(plan, storage=_storage(plan))


def _with_precision(
    models: tuple[ModelPlan, ...], spec: StudySpec, device: str, stored: dict[str, Any] | None
) -> tuple[ModelPlan, ...]:
    """The plans with their precision: as a resumed run began, wherever it goes on."""
    asked, begun = spec.train.precision, (stored or {}).get("models", {})
    known = {name: entry["precision"] for name, entry in begun.items() if "precision" in entry}
    undecided = asked == "auto" and {model.name for model in models} - set(known) & set(BF16_AS_GOOD)
    # A cluster's nodes, and other drivers of a study, may be of other kinds than this machine: float32 is right on all.
    speedup = bf16_speedup() if undecided and device == "cpu" and _is_alone(spec) else 0.0
    return tuple(
        replace(model, precision=known.get(model.name) or choose_precision(asked, model.name, device, speedup))
        for model in models
    )


def _is_alone(spec: StudySpec) -> bool:
    """Whether the trials run on this machine, and no other driver has a part in the study."""
    return spec.search.study is None and not _joins(spec)


def _joins(spec: StudySpec) -> bool:
    """Whether the run takes a Ray that is there already."""
    import ray

    return bool(spec.resources.address) or ray.is_initialized()


def _fetch_pretrained(models: tuple[ModelPlan, ...]) -> None:
    """Weights that trials begin with are downloaded once, here, before several workers would."""
    for model in models:
        for choice in getattr(model.space.distributions.get("pretrained"), "choices", ()):
            fetch_pretrained({"pretrained": choice})


def _resumable(spec: StudySpec, stored: dict[str, Any]) -> StudySpec:
    """The spec with the data set the run resolved; ValueError where it asks for another study."""
    # What was no setting yet when the run began was as its default is.
    old, new = {**StudySpec().to_dict(), **stored["spec"]}, spec.to_dict()
    if spec.train.precision == "auto":  # as it began
        spec = replace(spec, train=replace(spec.train, precision=old["precision"]))
        new["precision"] = old["precision"]
    name, resolved = spec.output.resume, stored["data"]["name"]
    # A folder may lie elsewhere now; whether it is the same is seen by its hashes.
    if spec.data.dataset not in (old["dataset"], resolved) and not os.path.exists(spec.data.dataset):
        new["dataset"], old = spec.data.dataset, {**old, "dataset": resolved}
        raise UserError(f"--resume {name}: changed, {'; '.join(difference(old, new))}")
    may_change = changeable_settings()
    kept = [{k: v for k, v in side.items() if k not in may_change} for side in (old, new)]
    changes = difference(*kept)
    if changes:
        raise UserError(f"--resume {name}: a resumed run cannot change {'; '.join(changes)}")
    urls = {"--storage": spec.search.storage, "--storage-path": spec.resources.storage_path}
    for flag, url in {**urls, "--mlflow": spec.output.mlflow}.items():
        if "***" in (url or ""):
            raise UserError(f"--resume {name}: give {flag} again, its password is not kept")
    if masked(spec.search.storage or "") != old.get("storage", ""):
        raise UserError(f"--resume {name}: --storage must be the one it began with, {old.get('storage', 'none')}")
    # A folder may lie elsewhere now, and is then where it is said to be.
    moved = spec.data.dataset not in (old["dataset"], resolved)
    return spec if moved else replace(spec, data=replace(spec.data, dataset=resolved))


def _check_same_data(dataset: Dataset, stored: dict[str, Any]) -> None:
    hashes = stored["data"]["hashes"]
    changed = [part for part, value in dataset.hashes.items() if hashes.get(part) != value]
    if changed:
        raise UserError(f"--dataset {dataset.name}: its {', '.join(changed)} split is not the one of the run")


def _check_databases(spec: StudySpec) -> None:
    """No run writes into the database of another."""
    own = spec.output.results_dir / spec.output.resume if spec.output.resume else None
    check_no_runs_file("--storage", spec.search.storage, own)
    check_no_runs_file("--mlflow", spec.output.mlflow, own)


def _load(spec: StudySpec) -> Dataset:
    data = spec.data
    return load_dataset(data.dataset, data.directory, mean=data.mean, std=data.std, train_size=data.train_size)


def _models(spec: StudySpec, spaces: dict[str, Space], dataset: Dataset) -> tuple[tuple[ModelPlan, ...], list[str]]:
    most = spec.search.max_parameters
    device = None if _joins(spec) else "cpu" if _asked_gpus(spec) == 0 else spec.train.device
    plans, small = [], []
    for name, space in spaces.items():
        try:
            plans.append(ModelPlan(name, space, counted(name, dataset, space.default, device, most)))
        except ValueError as error:
            if len(spaces) == 1 or name not in MODELS:
                raise UserError(f"--model {error}" if name in MODELS else str(error)) from error
            small.append(str(error))
    if not plans:
        raise UserError(f"--model: none takes these images; {small[0]}")
    least = {plan.name: _least_parameters(plan, dataset) for plan in plans} if most is not None else {}
    kept = tuple(plan for plan in plans if most is None or least[plan.name] <= most)
    over = [f"{plan.name} has {least[plan.name]:,}" for plan in plans if plan not in kept]
    if not kept:
        raise UserError(f"--max-parameters {most}: fewer than any configuration has ({', '.join(over)})")
    notes = [f"left out: {'; '.join(small)}"] if small else []
    notes += [f"left out by --max-parameters {most}: {', '.join(over)}"] if over else []
    idle = sorted(set(spec.search.space) - set(spec.search.model))
    notes += [f"--config: [space.{name}] is for no architecture of this run" for name in idle]
    return kept, notes


def _least_parameters(plan: ModelPlan, dataset: Dataset) -> int:
    """Of the smallest configuration in the space; 0 for a user's own architecture, where nothing says which that is."""
    if plan.name not in MODELS and split_config(plan.space.distributions)[1]:
        return 0
    smallest = {**plan.space.default, **{key: _smallest(d) for key, d in plan.space.distributions.items()}}
    _, arch = split_config({key: smallest[key] for key in plan.space.default})
    return min(plan.parameters, count_parameters(plan.name, dataset.input_shape, len(dataset.classes), **arch))


def _smallest(distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        numbers = all(isinstance(choice, int | float) for choice in distribution.choices)
        return min(distribution.choices) if numbers else distribution.choices[0]  # type: ignore[type-var]
    return distribution.low  # type: ignore[attr-defined]


def _available(spec: StudySpec) -> dict[str, float]:
    """CPUs and GPUs of the cluster, or of this machine."""
    import ray
    import torch

    from cluster.connect import connect

    if _joins(spec):
        try:
            with connect(spec.resources.address):
                check_nodes(spec.resources.storage_path, joined=True)
                return {"CPU": 0, "GPU": 0, **ray.cluster_resources()}  # type: ignore[no-untyped-call]
        except ConnectionError as error:
            raise UserError(str(error)) from error
    check_nodes(spec.resources.storage_path, joined=False)
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"CPU": cpus, "GPU": torch.cuda.device_count()}


def _grows(spec: StudySpec) -> bool:
    """Whether --concurrency says of a cluster what it will hold, when nodes have joined it for the trials that wait."""
    return spec.resources.address is not None and spec.resources.concurrency is not None


def _device(spec: StudySpec, resources: dict[str, float]) -> str:
    wanted, share = spec.train.device, _asked_gpus(spec)
    check_device(wanted, bool(resources["GPU"]) or _grows(spec))
    if wanted == "cuda" and share == 0:
        raise UserError("--device cuda: needs --gpus-per-trial over 0")
    if wanted in ("cpu", "mps") and share:
        raise UserError(f"--gpus-per-trial {share:g}: --device {wanted} uses none; choose 0 or --device cuda")
    if wanted != "auto":
        return wanted
    return "cuda" if (resources["GPU"] and share != 0) or share else "cpu"


def _asked_gpus(spec: StudySpec) -> float | None:
    """--gpus-per-trial where it is a number."""
    asked = spec.resources.gpus_per_trial
    return None if isinstance(asked, str) else asked


def _gpus_per_trial(spec: StudySpec, device: str, resources: dict[str, float]) -> float:
    share = _asked_gpus(spec)
    if share is None:
        share = 1.0 if device == "cuda" else 0.0
    workers = spec.resources.workers_per_trial
    if share * workers > resources["GPU"] and not _grows(spec):
        each = f" for each of --workers-per-trial {workers}" if workers > 1 else ""
        raise UserError(f"--gpus-per-trial {share:g}{each}: there are {resources['GPU']:g} GPUs")
    return share


def _concurrency(spec: StudySpec, gpus: float, resources: dict[str, float]) -> tuple[int, str]:
    """Trials at once: what was asked for, within what the resources hold; and a note where they cut it."""
    asked, cpus, workers = spec.resources.concurrency, spec.resources.cpus_per_trial, spec.resources.workers_per_trial
    if cpus * workers > resources["CPU"] and not _grows(spec):
        said = f"--cpus-per-trial {cpus}"
        said = f"--workers-per-trial {workers}, with {said} for each" if workers > 1 else said
        raise UserError(f"{said}: there are {resources['CPU']:g} CPUs")
    room = int(resources["CPU"] // cpus)
    if gpus >= 1:
        room = min(room, int(resources["GPU"] // gpus))
    elif gpus:  # a share lies on one GPU: 0.6 fits once on each
        room = min(room, int(resources["GPU"]) * math.floor(1 / gpus + 1e-9))
    room //= workers
    if spec.train.device == "mps":
        room = 1
    if asked is not None and asked > room and _grows(spec):
        return (
            asked,
            f"--concurrency {asked} is more than the cluster holds now ({room}): the others wait for nodes to join",
        )
    if asked is not None and asked > room:
        return room, f"--concurrency {asked} is more than the resources hold: {room} at once"
    return asked or room, ""


def _storage(plan: Plan) -> RDBStorage | None:
    url, name = plan.spec.search.storage, plan.spec.output.name
    if url is None:
        return None
    storage = open_storage(url)
    if name and not plan.spec.output.resume and not plan.spec.search.study:
        check_unused(storage, url, [study_name(plan, model, name) for model in plan.models])
    if plan.spec.search.study:
        _check_shared(storage, plan)
    return storage


def _check_shared(storage: RDBStorage, plan: Plan) -> None:
    """ValueError where the drivers of a shared study would not try the same thing."""
    from optuna import load_study
    from optuna.study import get_all_study_names

    there = get_all_study_names(storage)
    for model in plan.models:
        name = study_name(plan, model, "")
        begun = load_study(study_name=name, storage=storage).user_attrs.get(SHARED_ATTR, {}) if name in there else {}
        changed = [key for key, value in shared_by_drivers(plan, model).items() if begun.get(key, value) != value]
        if changed:
            raise UserError(
                f"--study {plan.spec.search.study}: {model.name} was begun there with other {', '.join(changed)}; give "
                "the same, or take another --study"
            )


def _scheduler_note(spec: StudySpec) -> str:
    search = spec.search
    if search.sampler in ("gp", "cmaes", "nsgaii") and search.scheduler == "auto":
        return f"no early stopping: {search.sampler} learns from whole trials only (--scheduler asha overrides)"
    return ""
