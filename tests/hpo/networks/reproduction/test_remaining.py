"""How long the recipes that are left will take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpo.networks.reproduction.baseline_run import BaselineRun
from hpo.networks.reproduction.recipes import recipes
from hpo.networks.reproduction.remaining import remaining_s


def run(model: str, seed: int = 0) -> BaselineRun:
    (recipe,) = recipes("C", (model,))
    what: dict[str, Any] = {"recipe": recipe, "seed": seed, "epochs": 20, "precision": "float32"}
    return BaselineRun(**what, device="cpu", dataset="mnist", data_dir=Path(), out=Path())


def row(model: str, minutes: float, epochs: int = 20, **changed: Any) -> dict[str, Any]:
    return {"system": "C", "model": model, "precision": "float32", "minutes": minutes, "epochs": epochs, **changed}


def test_the_time_of_an_epoch_tells_that_of_the_others() -> None:
    rows = [row("lenet5", 2.0), row("mlp_small", 0.5, epochs=5), row("lenet5", 9.0, precision="bf16")]
    todo = [run("lenet5", 1), run("lenet5", 2), run("mlp_small")]
    assert remaining_s(todo, rows, 1) == pytest.approx(60 * (2 + 2 + 2))
    assert remaining_s(todo, rows, 2) == pytest.approx(60 * 3)
    assert remaining_s(todo, rows, 8) == pytest.approx(60 * 2)
    long = [row("lenet5", 90.0), row("mlp_small", 1.0)]
    assert remaining_s([run("lenet5"), run("mlp_small")], long, 8) == pytest.approx(60 * 90)  # no less than the longest
    assert remaining_s([], rows, 2) == 0


def test_nothing_is_said_of_what_was_never_trained() -> None:
    failed = row("mlp_small", 0.1, error="diverged in epoch 1")
    assert remaining_s([run("lenet5"), run("mlp_small")], [row("lenet5", 2.0), failed], 1) is None
