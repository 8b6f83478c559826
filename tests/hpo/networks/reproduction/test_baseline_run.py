"""One run of a recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hpo.networks.reproduction.baseline_run import BaselineRun, train_baseline
from hpo.networks.reproduction.recipes import recipes


def test_a_run_whose_loss_is_not_finite_is_an_error_however_late(tmp_path: Path) -> None:
    (recipe,) = recipes("C", ("mlp_small",))
    wild = replace(recipe, train=replace(recipe.train, lr=1e30))
    baseline = BaselineRun(
        recipe=wild, seed=0, epochs=2, precision="float32", device="cpu", dataset="digits", data_dir=tmp_path
    )
    done = train_baseline(baseline)
    assert done["error"] == "diverged in epoch 1" and "test_accuracy" not in done
