"""What workers are told of a plan."""

from __future__ import annotations

import os
from pathlib import Path

from hpo.search.worker_settings import make_search_settings, make_worker_settings
from hpo.session.preflight.planning import preflight
from hpo.spec.study import StudySpec
from hpo.store.checkpoint_stores import FolderStorage


def test_settings_are_what_was_asked_for(tmp_path: Path) -> None:
    spec = StudySpec.of(model="mlp", dataset="digits", epochs=9, seed=5, trial_timeout="2m", precision="float32")
    plan, storage = preflight(spec), FolderStorage(tmp_path)
    settings = make_search_settings(plan, plan.models[0], storage, deadline=7.0)
    assert (settings.epochs, settings.rungs, settings.trial_timeout, settings.deadline) == (9, (2, 6), 120.0, 7.0)
    assert not settings.is_fused and settings.halving == 0 and not settings.is_cluster
    assert settings.checkpoints == storage and settings.import_from == os.getcwd()
    shared = make_worker_settings(plan, "mlp", "bf16", storage)
    assert shared.precision == "bf16" and shared.input_shape == settings.input_shape == (1, 28, 28)


def test_fused_trials_stop_one_another_where_the_search_stops_early(tmp_path: Path) -> None:
    settings = {"model": "mlp", "dataset": "digits", "epochs": 9, "fuse": 4, "trials": 8}
    for scheduler, halving in (("asha", 4), ("none", 0)):
        plan = preflight(StudySpec.of(scheduler=scheduler, **settings))
        made = make_search_settings(plan, plan.models[0], FolderStorage(tmp_path), deadline=7.0)
        assert made.is_fused and made.halving == halving
