"""study.json: what was run, on what, with which versions, and when."""

from __future__ import annotations

import os
import platform
import secrets
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.spec.study import rungs
from hpo.store.study_db import masked
from trainers.data.dataset import Dataset

if TYPE_CHECKING:
    from hpo.session.preflight.planning import Plan

_PACKAGES = ("podium-hpo", "torch", "torchvision", "ray", "optuna", "pandas", "numpy", "scikit-learn")


def describe(plan: Plan) -> dict[str, Any]:
    """The study.json of a run that starts now. No password is in it."""
    spec = plan.spec.to_dict()
    for url in {"storage", "storage_path", "mlflow"} & set(spec):
        spec[url] = masked(spec[url])
    return {
        "id": secrets.token_hex(8),  # tells runs of one name apart
        "state": "running",
        "spec": spec,
        "data": describe_data(plan.dataset),
        "models": {
            model.name: {
                "parameters": model.parameters,
                "precision": model.precision,
                "space": {key: str(d) for key, d in model.space.distributions.items()},
            }
            for model in plan.models
        },
        "notices": list(plan.notices),
        "early_stopping": {
            "scheduler": "asha" if plan.spec.search.stops_early else "none",
            "rungs": list(rungs(plan.spec.search.epochs)) if plan.spec.search.stops_early else [],
        },
        "resources": {
            "device": plan.device,
            "concurrency": plan.concurrency,
            "cpus_per_trial": plan.spec.resources.cpus_per_trial,
            "workers_per_trial": plan.spec.resources.workers_per_trial,
            "gpus_per_trial": plan.gpus_per_trial,
            "lanes": {model.name: model.lanes for model in plan.models},
        },
        **describe_machine(),
        "sessions": [_session()],
    }


def describe_data(data: Dataset) -> dict[str, Any]:
    """What a data set is, down to the hashes of its splits."""
    return {
        "name": data.name,
        "notice": data.notice,
        "classes": list(data.classes),
        "input_shape": list(data.input_shape),
        "mean": list(data.mean),
        "std": list(data.std),
        "sizes": {
            "train": len(data.training.train),
            "validation": len(data.training.validation),
            "test": len(data.test),
        },
        "hashes": data.hashes,
    }


def describe_machine() -> dict[str, Any]:
    """Versions, machine and commit."""
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": _machine(),
        "commit": _commit(),
    }


def resumed(study: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """The stored study.json with this session added, and the settings a resume may change."""
    now = describe(plan)
    kept = {key: study["spec"][key] for key in ("name", "results_dir", "dataset") if key in study["spec"]}
    return {
        **now,  # what the file has lost
        **study,
        "state": "running",
        "spec": {**now["spec"], **kept},
        "resources": now["resources"],
        "sessions": [*study["sessions"], *now["sessions"]],
    }


def ended(
    study: dict[str, Any], state: str, trials: dict[str, int], times: dict[str, float] | None = None
) -> dict[str, Any]:
    """The study.json with how this session ended: "complete", "interrupted", "out of time" or "failed"; and where its
    time went (hpo/views/timing.py)."""
    *before, last = study["sessions"] or [_session()]
    last = {**last, "ended": _now(), "outcome": state, **({"times": times} if times else {})}
    return {**study, "state": state, "trials": trials, "sessions": [*before, last]}


def _session() -> dict[str, Any]:
    return {"started": _now(), "host": platform.node(), "pid": os.getpid()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _machine() -> dict[str, Any]:
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "executable": Path(sys.executable).name,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _commit() -> str | None:
    """The commit of Podium's own checkout, with a + where it has changes; None outside of one."""
    root = Path(__file__).resolve().parents[2]
    git = ["git", "-C", str(root)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
        changes = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() + ("+" if changes.stdout.strip() else "")
