"""Which runs of the recipes a journal lacks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hpo.networks.reproduction.baseline_run import BaselineRun
from hpo.networks.reproduction.baselines import missing
from hpo.networks.reproduction.recipes import recipes


def row(seed: int, epochs: int) -> dict[str, Any]:
    known = {"system": "C", "model": "lenet5", "dataset": "mnist", "precision": "float32"}
    return {**known, "seed": seed, "epochs": epochs}


def test_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "j.jsonl").write_text("".join(json.dumps(row(*run)) + "\n" for run in ((0, 20), (1, 5))))
    (recipe,) = recipes("C", ("lenet5",))

    def baseline(seed: int, epochs: int, precision: str = "float32") -> BaselineRun:
        what = {"recipe": recipe, "seed": seed, "epochs": epochs, "precision": precision}
        return BaselineRun(**what, device="cpu", dataset="mnist", data_dir=tmp_path, out=tmp_path)

    runs = [baseline(0, 20), baseline(0, 3), baseline(1, 20), baseline(1, 5), baseline(2, 1), baseline(0, 1, "bf16")]
    todo = missing(runs, tmp_path / "j.jsonl")
    assert [(j.seed, j.epochs, j.precision) for j in todo] == [(1, 20, "float32"), (2, 1, "float32"), (0, 1, "bf16")]
