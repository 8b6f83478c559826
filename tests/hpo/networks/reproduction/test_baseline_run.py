"""One run of a recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.networks.reproduction.baseline_run import BaselineRun, train_baseline
from hpo.networks.reproduction.recipes import recipes
from hpo.networks.training import TrainingSetup, train_model
from hpo.networks.unfinished import Unfinished
from trainers.config import FitResult
from trainers.data.dataset import load_dataset

(RECIPE,) = recipes("C", ("mlp_small",))


def baseline(out: Path, **changed: Any) -> BaselineRun:
    what = {"recipe": RECIPE, "seed": 0, "epochs": 3, "precision": "float32", "device": "cpu", "dataset": "digits"}
    return BaselineRun(**{**what, **changed}, data_dir=out, out=out)


def test_a_run_whose_loss_is_not_finite_is_an_error_however_late(tmp_path: Path) -> None:
    wild = replace(RECIPE, train=replace(RECIPE.train, lr=1e30))
    done = train_baseline(baseline(tmp_path, recipe=wild, epochs=2))
    assert done["error"] == "diverged in epoch 1" and "test_accuracy" not in done


def test_a_run_goes_on_where_it_was_stopped_and_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, stopped = baseline(tmp_path / "whole"), baseline(tmp_path / "stopped")
    _stop_after(2, stopped)
    assert stopped.unfinished.is_file()

    rows = [train_baseline(run) for run in (whole, stopped)]
    spent = [row.pop("minutes") for row in rows]
    assert rows[0] == rows[1] and rows[0]["best_epoch"] and min(spent) > 0


def test_an_unfinished_run_of_other_settings_or_a_damaged_one_is_not_gone_on_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = replace(RECIPE, train=replace(RECIPE.train, lr=0.5))
    fresh = train_baseline(baseline(tmp_path / "fresh", recipe=other))
    begun = baseline(tmp_path)
    _stop_after(2, begun)
    row = train_baseline(baseline(tmp_path, recipe=other))
    assert row["train_loss"] == fresh["train_loss"]

    begun.unfinished.write_bytes(b"half")
    row = train_baseline(baseline(tmp_path, recipe=other))
    assert row["train_loss"] == fresh["train_loss"] and "the training starts again" in caplog.text


def _stop_after(epochs: int, run: BaselineRun) -> None:
    def report(so_far: FitResult) -> None:
        if len(so_far.curve) == epochs:
            raise KeyboardInterrupt

    setup = TrainingSetup(model=run.recipe.model, train=run.train, arch=run.recipe.arch)
    dataset = load_dataset(run.dataset, run.data_dir, mean=run.recipe.mean, std=run.recipe.std)
    with pytest.raises(KeyboardInterrupt):
        train_model(setup, dataset, report, unfinished=Unfinished(run.unfinished, run.settings))
