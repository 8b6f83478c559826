"""study.json: what was run, on what, with which versions, and when."""

from __future__ import annotations

import os
import platform
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hpo.spec.plan import ModelPlan, Plan
from hpo.spec.spaces.stored import checksum
from hpo.store.study_file import RunState, describe_data
from hpo.system.machine import describe_machine, now
from hpo.system.urls import masked
from hpo.trials.rung_report import RungReport


def describe(plan: Plan) -> dict[str, Any]:
    """The study.json of a run that starts now. No password is in it."""
    spec = plan.spec.to_dict()
    for url in {"storage", "storage_path", "mlflow"} & set(spec):
        spec[url] = masked(spec[url])
    return {
        "id": secrets.token_hex(8),  # tells runs of one name apart
        "state": RunState.RUNNING,
        "spec": spec,
        "data": describe_data(plan.dataset),
        "models": {model.name: _describe_model(model) for model in plan.models},
        "notices": list(plan.notices),
        "early_stopping": {
            "scheduler": "asha" if plan.spec.search.stops_early else "none",
            "rungs": list(plan.spec.search.rungs),
        },
        "resources": {
            "device": plan.device,
            "concurrency": plan.concurrency,
            "cpus_per_trial": plan.spec.resources.cpus_per_trial,
            "workers_per_trial": plan.spec.resources.workers_per_trial,
            "gpus_per_trial": plan.gpus_per_trial,
            "group_size": {model.name: model.group_size for model in plan.models},
        },
        **describe_machine(),
        "sessions": [_session()],
    }


def _describe_model(model: ModelPlan) -> dict[str, Any]:
    space = model.space.texts()
    return {
        "parameters": model.parameters,
        "precision": model.precision,
        "space": space,
        "space_crc": checksum(space),
        "guesses": [asdict(guess) for guess in model.guesses],
        "first_configs": list(model.first_configs),
    }


def resumed(study: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """The stored study.json with this session added, and the settings a resume may change."""
    now = describe(plan)
    kept = {key: study["spec"][key] for key in ("name", "results_dir", "dataset") if key in study["spec"]}
    return {
        **now,  # what the file has lost
        **study,
        "state": RunState.RUNNING,
        "spec": {**now["spec"], **kept},
        "early_stopping": now["early_stopping"],  # an older version had other rungs
        "resources": now["resources"],
        "sessions": [*study["sessions"], *now["sessions"]],
    }


def ended(
    study: dict[str, Any], state: RunState, trials: dict[str, int], further: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The study.json with how this session ended, how many trials are in which state, and further entries of the
    session, as where its time went (hpo/views/timing.py)."""
    *before, last = study["sessions"] or [_session()]
    last = {**last, "ended": now(), "outcome": state, **(further or {})}
    return {**study, "state": state, "trials": trials, "sessions": [*before, last]}


def with_rungs(study: dict[str, Any], reports: Sequence[RungReport]) -> dict[str, Any]:
    """The study.json with what early stopping decided, under each architecture."""
    described = {
        name: {**model, "rungs": [report.to_dict() for report in reports if report.model == name]}
        for name, model in study["models"].items()
    }
    return {**study, "models": described}


def _session() -> dict[str, Any]:
    return {"started": now(), "host": platform.node(), "pid": os.getpid()}
