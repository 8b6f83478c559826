"""What the trials run on: the device, the share of a GPU, and how many at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cluster.connect import connect
from hpo.networks.training import check_device
from hpo.session.preflight.cluster_check import check_nodes
from hpo.spec.resources import ResourceSpec
from hpo.system.errors import UserError
from trainers.cpu.count import usable_cpus


@dataclass(frozen=True)
class Available:
    """What there is for trials, on this machine or in the cluster."""

    cpus: float
    gpus: float


def joins_cluster(address: str | None) -> bool:
    """Whether the run takes a Ray that is there already."""
    import ray

    return bool(address) or ray.is_initialized()


def find_resources(resources: ResourceSpec) -> Available:
    """CPUs and GPUs of the cluster, or of this machine.

    Raises UserError where the cluster does not answer, or trials cannot run or keep checkpoints there.
    """
    import ray
    import torch

    if joins_cluster(resources.address):
        try:
            with connect(resources.address):
                check_nodes(resources.storage_path, joined=True)
                found = ray.cluster_resources()  # type: ignore[no-untyped-call]
                return Available(cpus=found.get("CPU", 0), gpus=found.get("GPU", 0))
        except ConnectionError as error:
            raise UserError(str(error)) from error
    check_nodes(resources.storage_path, joined=False)
    return Available(cpus=usable_cpus(), gpus=torch.cuda.device_count())


def choose_device(wanted: str, resources: ResourceSpec, available: Available) -> str:
    """The device that trials train on: cpu, cuda or mps. wanted: what --device says.

    Raises UserError where that device is not there, or --gpus-per-trial contradicts it.
    """
    share = asked_gpus(resources)
    check_device(wanted, bool(available.gpus) or _grows(resources))
    if wanted == "cuda" and share == 0:
        raise UserError("--device cuda: needs --gpus-per-trial over 0")
    if wanted in ("cpu", "mps") and share:
        raise UserError(f"--gpus-per-trial {share:g}: --device {wanted} uses none; choose 0 or --device cuda")
    if wanted != "auto":
        return wanted
    return "cuda" if (available.gpus and share != 0) or share else "cpu"


def asked_gpus(resources: ResourceSpec) -> float | None:
    """--gpus-per-trial where it is a number."""
    asked = resources.gpus_per_trial
    return None if isinstance(asked, str) else asked


def choose_gpus_per_trial(resources: ResourceSpec, device: str, available: Available) -> float:
    """GPUs of each worker of a trial: what is asked for, else one on cuda. A fraction is a share of one GPU.

    Raises UserError where there are fewer, unless the cluster is to grow.
    """
    share, workers = asked_gpus(resources), resources.workers_per_trial
    if share is None:
        share = 1.0 if device == "cuda" else 0.0
    if share * workers > available.gpus and not _grows(resources):
        each = f" for each of --workers-per-trial {workers}" if workers > 1 else ""
        raise UserError(f"--gpus-per-trial {share:g}{each}: there are {available.gpus:g} GPUs")
    return share


def choose_concurrency(resources: ResourceSpec, device: str, gpus: float, available: Available) -> tuple[int, str]:
    """Trials at once: what is asked for, within what the resources hold; and a note where they hold less, else "".

    Raises UserError where the CPUs are too few for one trial, unless the cluster is to grow.
    """
    _check_cpus(resources, available)
    asked, room = resources.concurrency, 1 if device == "mps" else _room(resources, gpus, available)
    if asked is None or asked <= room:
        return asked or room, ""
    if _grows(resources):
        waiting = "the others wait for nodes to join"
        return asked, f"--concurrency {asked} is more than the cluster holds now ({room}): {waiting}"
    return room, f"--concurrency {asked} is more than the resources hold: {room} at once"


def _check_cpus(resources: ResourceSpec, available: Available) -> None:
    cpus, workers = resources.cpus_per_trial, resources.workers_per_trial
    if cpus * workers <= available.cpus or _grows(resources):
        return
    said = f"--cpus-per-trial {cpus}"
    said = f"--workers-per-trial {workers}, with {said} for each" if workers > 1 else said
    raise UserError(f"{said}: there are {available.cpus:g} CPUs")


def _room(resources: ResourceSpec, gpus: float, available: Available) -> int:
    """Trials that the resources hold at once."""
    room = int(available.cpus // resources.cpus_per_trial)
    if gpus >= 1:
        room = min(room, int(available.gpus // gpus))
    elif gpus:  # a share lies on one GPU: 0.6 fits once on each
        room = min(room, int(available.gpus) * math.floor(1 / gpus + 1e-9))
    return room // resources.workers_per_trial


def _grows(resources: ResourceSpec) -> bool:
    """Whether --concurrency says of a cluster what it will hold, when nodes have joined it for the trials that wait."""
    return resources.address is not None and resources.concurrency is not None
