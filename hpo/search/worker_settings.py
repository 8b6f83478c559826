"""What a plan means for its workers."""

from __future__ import annotations

import os
from typing import Any

from hpo.spec.checks import seconds
from hpo.spec.plan import ModelPlan, Plan
from hpo.store.checkpoint_stores import CheckpointStorage
from hpo.trials.asha import REDUCTION_FACTOR, rungs
from hpo.worker.settings import SearchSettings, WorkerSettings

# What a worker trains is started again this often after the worker has died, each time from its last checkpoint. Twice:
# a node may be lost by chance, but what ends every worker that takes it up is to fail at last.
MAX_WORKER_LOSSES = 2


def make_worker_settings(plan: Plan, model: str, precision: str, checkpoints: CheckpointStorage) -> WorkerSettings:
    """Makes the settings for networks of one architecture; checkpoints: as the workers see them."""
    return WorkerSettings(**_shared(plan, model, precision, checkpoints))


def make_search_settings(
    plan: Plan, model: ModelPlan, checkpoints: CheckpointStorage, deadline: float
) -> SearchSettings:
    """Makes the settings for the trials of one architecture; deadline: the time.time() at which they end."""
    search, is_fused = plan.spec.search, model.group_size > 1
    return SearchSettings(
        **_shared(plan, model.name, model.precision, checkpoints),
        rungs=rungs(search.epochs),
        deadline=deadline,
        trial_timeout=seconds(search.trial_timeout, "--trial-timeout") if search.trial_timeout else None,
        is_fused=is_fused,
        halving=REDUCTION_FACTOR if is_fused and search.stops_early else 0,
        is_cluster=plan.spec.resources.address is not None,
    )


def _shared(plan: Plan, model: str, precision: str, checkpoints: CheckpointStorage) -> dict[str, Any]:
    return {
        "model": model,
        "input_shape": plan.dataset.input_shape,
        "num_classes": len(plan.dataset.classes),
        "epochs": plan.spec.search.epochs,
        "seed": plan.spec.search.seed,
        "precision": precision,
        "metric": plan.spec.search.metric,
        "trainer": plan.spec.search.trainer,
        "device": plan.device,
        "threads": plan.spec.resources.cpus_per_trial,
        "workers": plan.spec.resources.workers_per_trial,
        "gpus": plan.gpus_per_trial,
        "import_from": os.getcwd(),
        "checkpoints": checkpoints,
    }
