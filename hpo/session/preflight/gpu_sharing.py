"""How many trials share a GPU, and how many are trained as one network on it: by what a probe there measures."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from cluster.connect import connect
from hpo.session.preflight.batches import largest_batch
from hpo.spec.plan import ModelPlan
from hpo.spec.resources import ResourceSpec
from hpo.spec.spaces.own_functions import is_own
from hpo.system.errors import UserError
from hpo.system.text import describe_error
from models import MODELS, build_model
from trainers.config import TrainConfig, split_config
from trainers.data.dataset import Dataset
from trainers.data.splits import TrainingArrays, TrainingData
from trainers.fused.stacked import is_stackable
from trainers.gpu.probe import Probe, probe

GROUP_SIZES = (8, 16, 32)  # that are tried, as far as a search has trials for
MIN_FUSED_SPEEDUP = 1.5  # trials that are fused share a shape, and a search learns less of it: this much faster pays
MIN_GROUPS = 3  # that a search is made of at least: each draws a shape
MIN_TRIALS_TO_PROBE = 20  # trials of a search that are worth a probe
MAX_MEMORY_SHARE, MAX_BUSY_SHARE = 0.8, 0.9  # of a GPU, that all its trials together may take
MAX_PROCESSES_PER_GPU = 16  # processes on a GPU
PROBE_IMAGES, PROBE_S = 4096, 180.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GpuSharing:
    """How trials share GPUs."""

    group_sizes: Mapping[str, int]
    """How many trials of an architecture are trained as one network, for those where they are."""
    gpus: float | None = None
    """GPUs of a trial; None where --gpus-per-trial says it."""
    notes: tuple[str, ...] = ()
    """For the user."""


@dataclass(frozen=True, kw_only=True)
class ProbeRequest:
    """What a worker with a GPU is to measure."""

    network: Callable[..., Any]
    """Makes a network from the architecture's hyperparameters."""
    arch: Mapping[str, Any]
    """Those of the first trial."""
    config: TrainConfig
    """How it is trained."""
    group_sizes: tuple[int, ...]
    """How many fused trials to try."""
    largest_arch: Mapping[str, Any]
    """The hyperparameters of the largest network of the space."""
    largest_batch: int
    optimizers: tuple[str, ...]
    """Those of the space: the one that needs most memory counts."""


def plan_gpu_sharing(
    resources: ResourceSpec,
    trials: int,
    dataset: Dataset,
    models: tuple[ModelPlan, ...],
    device: str,
    gpus: int | None,
) -> GpuSharing:
    """What --fuse and --gpus-per-trial come to for these architectures, each with so many trials, on this device.

    gpus: how many there are; None for a dry run, which measures nothing. Raises UserError where fusing is asked for,
    and no architecture can be fused.
    """
    fuse, auto_share = resources.fuse, resources.gpus_per_trial == "auto"
    if isinstance(fuse, int):
        return replace(_as_asked(fuse, trials, dataset, models), gpus=1.0 if auto_share and device == "cuda" else None)
    if device != "cuda":
        return GpuSharing({})
    has_whole_gpu = resources.workers_per_trial == 1 and resources.gpus_per_trial in (None, "auto", 1)
    is_worth_it = fuse == "auto" and has_whole_gpu and trials >= MIN_TRIALS_TO_PROBE
    fusible = [m.name for m in models if is_worth_it and m.name in MODELS and is_fusible(m, dataset)]
    if not (fusible or auto_share):
        return GpuSharing({})
    if gpus is None:
        return GpuSharing({}, notes=("how trials are packed on a GPU is measured at the start of a run",))
    tried = group_sizes_to_try(trials, at_once=min(gpus, resources.concurrency or gpus))
    measured = {m.name: probe_on_ray(resources, dataset, m, tried if m.name in fusible else ()) for m in models}
    return _by_measurement(measured, fusible, auto_share)


def is_fusible(model: ModelPlan, dataset: Dataset) -> bool:
    """Whether several networks of the architecture can be one: a plain nn.Sequential of layers with a stacked form, the
    same layers whatever the dropout is, and no loss of the user's own, which is for one network."""
    import torch

    if any(map(is_own, getattr(model.space.distributions.get("loss"), "choices", ()))):
        return False

    _, arch = _first(model)
    rates: list[dict[str, Any]] = [{"dropout": 0.0}, {"dropout": 0.5}] if "dropout" in arch else [{}]
    shape = dataset.input_shape, len(dataset.classes)
    with torch.device("meta"):
        networks = [build_model(model.name, *shape, **{**arch, **rate}) for rate in rates]
    layers = {tuple(type(layer) for layer in network.modules()) for network in networks}
    return len(layers) == 1 and all(is_stackable(network) for network in networks)


def share_of(measured: Probe) -> float:
    """A trial's share of a GPU: as many at once as its memory and its time hold, with a margin; to 4 digits, down."""
    in_memory = MAX_MEMORY_SHARE * measured.total_bytes / measured.peak_bytes if measured.peak_bytes else 1.0
    count = min(in_memory, MAX_BUSY_SHARE / max(measured.busy, 1e-3), MAX_PROCESSES_PER_GPU)
    return 1.0 if count < 2 else math.floor(1e4 / int(count)) / 1e4


def group_sizes_to_try(trials: int, at_once: int = 1) -> tuple[int, ...]:
    """Sizes of groups for a search of so many trials of an architecture, on GPUs that train so many groups at once:
    there is one for each."""
    most = trials // max(MIN_GROUPS, at_once)
    return tuple(count for count in GROUP_SIZES if count <= most) or (most,)


def best_group_size(measured: Probe) -> int:
    """The size of a group that trains most images a second, if that is worth it: else 1."""
    alone = measured.images_per_s[1]
    best = max(measured.images_per_s, key=lambda count: measured.images_per_s[count])
    return best if measured.images_per_s[best] >= MIN_FUSED_SPEEDUP * alone else 1


def _as_asked(size: int, trials: int, dataset: Dataset, models: tuple[ModelPlan, ...]) -> GpuSharing:
    fusible = {model.name: is_fusible(model, dataset) for model in models}
    others = ", ".join(name for name, can in fusible.items() if not can)
    if not any(fusible.values()):
        why = "is no plain stack of layers that can be fused, or has a loss of your own"
        raise UserError(f"--fuse {size}: {others} {why}; choose off")
    notes = (f"not fused, because no plain stack of layers: {others}",) if others else ()
    return GpuSharing({name: min(size, trials) for name, can in fusible.items() if can}, notes=notes)


def _by_measurement(measured: Mapping[str, Probe | None], fusible: list[str], auto_share: bool) -> GpuSharing:
    group_sizes = {name: best_group_size(found) for name, found in measured.items() if found and name in fusible}
    group_sizes = {name: count for name, count in group_sizes.items() if count > 1}
    notes = [f"{name}: {count} trials at a time as one network" for name, count in group_sizes.items()]
    failed = [name for name, found in measured.items() if not found]
    notes += [f"what a trial takes of a GPU could not be measured: {', '.join(failed)}"] if failed else []
    gpus = None
    if auto_share:
        # One share for all architectures of a run: that of the one that needs most.
        shares = [1.0 if name in group_sizes or not found else share_of(found) for name, found in measured.items()]
        gpus = max(shares)
        notes += [f"each trial takes {gpus:g} of a GPU, as measured"] if not group_sizes and not failed else []
    return GpuSharing(group_sizes, gpus, tuple(notes))


def probe_on_ray(
    resources: ResourceSpec, dataset: Dataset, model: ModelPlan, group_sizes: tuple[int, ...], device: str = "cuda"
) -> Probe | None:
    """What a worker with a GPU measures of an architecture's first trial; None where it fails, or none is free."""
    import ray
    from ray.exceptions import RayError

    train, arch = _first(model)
    request = ProbeRequest(
        network=partial(build_model, model.name, dataset.input_shape, len(dataset.classes)),
        arch=arch,
        config=TrainConfig(**train, precision=model.precision, device=device, threads=resources.cpus_per_trial),
        group_sizes=group_sizes,
        largest_arch=largest_architecture(model),
        largest_batch=largest_batch(model),
        optimizers=tuple(getattr(model.space.distributions.get("optimizer"), "choices", ())),
    )
    with connect(resources.address):
        if device == "cuda" and not ray.cluster_resources().get("GPU"):  # type: ignore[no-untyped-call]
            return None  # nodes with GPUs are still to join
        task = ray.remote(max_calls=1)(_probe).options(num_gpus=1 if device == "cuda" else 0, max_retries=0)
        reference = task.remote(_few(dataset.training).to_arrays(), request)
        try:
            found: Probe = ray.get(reference, timeout=PROBE_S)
        except RayError as error:
            logger.warning("the probe of %s failed: %s", model.name, describe_error(error))
            ray.cancel(reference, force=True)
            return None
    # Every worker has the whole data set on its GPU, and not only the probe's few images of it.
    beside = _bytes(dataset.training) - _bytes(_few(dataset.training))
    return replace(found, peak_bytes=found.peak_bytes + beside if found.peak_bytes else 0)


def _probe(arrays: TrainingArrays, request: ProbeRequest) -> Probe:
    data = TrainingData.from_arrays(arrays)
    largest = partial(request.network, **request.largest_arch), request.largest_batch
    network = partial(request.network, **request.arch)
    return probe(network, data, request.config, request.group_sizes, largest, request.optimizers)


def _few(data: TrainingData) -> TrainingData:
    return TrainingData(data.train.first(PROBE_IMAGES).copied(), data.validation.first(PROBE_IMAGES).copied())


def _bytes(data: TrainingData) -> int:
    return sum(split.nbytes for split in (data.train, data.validation))


def _first(model: ModelPlan) -> tuple[dict[str, Any], dict[str, Any]]:
    """The architecture's first trial, but with dropout and averaged weights where others have some: what is the
    training's of it, and what the architecture's."""
    config = {key: model.space.default[key] for key in model.space.distributions}
    for key in {"dropout", "ema"} & config.keys():
        config[key] = _largest(model.space.distributions[key], config[key])
    return split_config(config)


def largest_architecture(model: ModelPlan) -> dict[str, Any]:
    """The architecture's hyperparameters, numbers (widths, dropout) as large as a trial can have them."""
    distributions = model.space.distributions
    _, arch = split_config({key: model.space.default[key] for key in distributions})
    return {key: _largest(distributions[key], value) for key, value in arch.items()}


def _largest(distribution: BaseDistribution, default: Any) -> Any:
    """The largest number of a distribution; the default where it is one of other things."""
    if not isinstance(distribution, CategoricalDistribution):
        return distribution.high  # type: ignore[attr-defined]
    numbers = [choice for choice in distribution.choices if isinstance(choice, int | float)]
    return max(numbers) if len(numbers) == len(distribution.choices) else default
