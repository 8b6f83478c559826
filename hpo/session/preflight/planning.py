"""From a spec to a plan: what needs the machine is found out, and refused, before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hpo.networks.own_criteria import check_criteria
from hpo.networks.reading import reading
from hpo.session.preflight.architectures import fetch_all_pretrained, plan_models
from hpo.session.preflight.batches import check_batches
from hpo.session.preflight.databases import check_not_of_a_run, open_shared_storage
from hpo.session.preflight.earlier_runs import with_lessons, with_lessons_it_began_with
from hpo.session.preflight.gpu_sharing import plan_gpu_sharing
from hpo.session.preflight.precision import with_precision
from hpo.session.preflight.resources import (
    asked_gpus,
    choose_concurrency,
    choose_device,
    choose_gpus_per_trial,
    find_resources,
    joins_cluster,
)
from hpo.session.preflight.resume_rules import check_same_data, spaces_it_began_with, taken_over
from hpo.spec.plan import Plan
from hpo.spec.search import SearchSpec
from hpo.spec.settings import DataSpec
from hpo.spec.spaces.defaults import AUGMENT_OF_PHOTOS
from hpo.spec.spaces.search_space import Space, has_photos, search_space
from hpo.spec.study import StudySpec
from hpo.store.trackers import check_mlflow
from hpo.system.import_path import add_current_folder
from trainers.data.dataset import Dataset, load_dataset


def preflight(spec: StudySpec, stored: Mapping[str, Any] | None = None, *, is_dry: bool = False) -> Plan:
    """Resolves a spec on this machine; `stored` is the study.json of a run to resume.

    is_dry: opens no database, downloads no weights and measures nothing on a GPU. Raises UserError, in one line with
    flag, value and choices, for whatever would fail later.
    """
    add_current_folder()
    if stored:
        spec = taken_over(spec, stored)
    check_not_of_a_run(spec.search.storage, spec.output)
    plan = _resolved(spec, stored, is_dry)
    if is_dry:
        return plan
    if spec.output.mlflow:
        check_mlflow(spec.output.mlflow)
    fetch_all_pretrained(plan.models)
    return replace(plan, storage=open_shared_storage(plan))


def _resolved(spec: StudySpec, stored: Mapping[str, Any] | None, is_dry: bool) -> Plan:
    spaces = _spaces(spec.search)  # before the images are read, which may take long
    dataset = _load(spec.data)
    of_photos = has_photos(dataset.name, dataset.input_shape[0])
    if of_photos:
        spaces = _spaces(spec.search, of_photos=True)
    if stored:
        spaces = spaces_it_began_with(spaces, stored, spec.output.resume)
        check_same_data(dataset, stored)
    check_criteria(spec.search.losses, spec.search.metric, len(dataset.classes))
    models, notes = plan_models(spec.search, spaces, dataset, _device_of_memory(spec))
    if stored:
        models = with_lessons_it_began_with(models, stored, spec.output.resume)
    else:
        models, learned = with_lessons(models, spec, dataset.name)
        notes += learned
    available = find_resources(spec.resources)
    device = choose_device(spec.train.device, spec.resources, available)
    precision = spec.train.plain_precision if spec.search.trainer else spec.train.precision
    models = with_precision(models, precision, device, _precisions(stored), is_alone=_is_alone(spec))
    gpus = choose_gpus_per_trial(spec.resources, device, available)
    probed = None if is_dry else int(available.gpus)
    packed = replace(spec.resources, fuse="off") if spec.search.trainer or spec.data.stream else spec.resources
    sharing = plan_gpu_sharing(packed, spec.search.trials, dataset, models, device, probed)
    models = tuple(replace(model, group_size=sharing.group_sizes.get(model.name, 1)) for model in models)
    gpus = sharing.gpus or gpus
    concurrency, cut = choose_concurrency(spec.resources, device, gpus, available)
    check_batches(models, dataset, spec.resources.workers_per_trial)
    notices = (dataset.notice, *notes, *sharing.notes, cut, _scheduler_note(spec.search), _photo_note(spaces))
    return Plan(
        spec=spec,
        dataset=dataset,
        models=models,
        device=device,
        gpus_per_trial=gpus,
        concurrency=concurrency,
        cpus=int(available.cpus),
        storage=None,
        notices=tuple(filter(None, notices)),
    )


def _spaces(search: SearchSpec, *, of_photos: bool = False) -> dict[str, Space]:
    return {name: search_space(name, search, of_photos=of_photos) for name in search.model}


def _photo_note(spaces: Mapping[str, Space]) -> str:
    """What is said where a trial may mirror images because of the default."""
    if not any(space.distributions["augment"] == AUGMENT_OF_PHOTOS[0] for space in spaces.values()):
        return ""
    return "colour images are mirrored in some trials (crop+flip); if left and right differ: --range augment=none,shift"


def _load(data: DataSpec) -> Dataset:
    with reading(data.dataset, data.size, data.resize, data.skip_broken, data.stream) as options:
        return load_dataset(
            data.dataset,
            data.directory,
            mean=data.mean,
            std=data.std,
            train_size=data.train_size,
            options=options,
        )


def _device_of_memory(spec: StudySpec) -> str | None:
    """Whose memory a network must fit into; None where that is another machine's."""
    if joins_cluster(spec.resources.address):
        return None
    return "cpu" if asked_gpus(spec.resources) == 0 else spec.train.device


def _precisions(stored: Mapping[str, Any] | None) -> dict[str, str]:
    """The precision that each architecture of a resumed run began with, as far as its study.json has it."""
    begun = (stored or {}).get("models", {})
    return {name: entry["precision"] for name, entry in begun.items() if "precision" in entry}


def _is_alone(spec: StudySpec) -> bool:
    """Whether the trials run on this machine, and no other driver has a part in the study."""
    return spec.search.study is None and not joins_cluster(spec.resources.address)


def _scheduler_note(search: SearchSpec) -> str:
    if search.sampler in ("gp", "cmaes", "nsgaii") and search.scheduler == "auto":
        return f"no early stopping: {search.sampler} learns from whole trials only (--scheduler asha overrides)"
    return ""
