"""A run learns from earlier ones, which need not be there any more when it goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hpo import StudySpec, run_study
from hpo.store.journal import read_journal

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_local")]


def run(results: Path, name: str, **settings: Any) -> dict[int, dict[str, Any]]:
    """Runs a small study; returns the searched hyperparameters by trial number."""
    usual = {"dataset": "digits", "train_size": 200, "epochs": 3, "finalists": 0, "quiet": True}
    run_study(StudySpec.of(**{**usual, "name": name, "results_dir": results, **settings}))
    return configs(results / name)


def configs(folder: Path) -> dict[int, dict[str, Any]]:
    rows = read_journal(folder / "trials.jsonl")
    return {int(row["trial_id"].rpartition("-")[2]): row["config"] for row in rows}


def test_first_trials_are_those_of_earlier_runs_which_may_be_gone_when_it_is_resumed(tmp_path: Path) -> None:
    run(tmp_path, "A", model="mlp_small", trials=6, seed=1)
    run(tmp_path, "B", model="lenet5", trials=6, seed=2)
    begun = run(tmp_path, "C", model="lenet5", trials=5, learn_from="all")
    stored = json.loads((tmp_path / "C" / "study.json").read_text())
    recipe, first = stored["models"]["lenet5"]["first_configs"]
    assert begun[0] == recipe and begun[1] == first
    assert begun[1] in configs(tmp_path / "B").values() and stored["models"]["lenet5"]["guesses"]
    assert stored["notices"][0] == "learns from: 2 runs, 12 trials (mlp_small on digits, lenet5 on digits)"
    shutil.rmtree(tmp_path / "A")
    shutil.rmtree(tmp_path / "B")
    more = run_study(StudySpec.of(resume="C", trials=7, results_dir=tmp_path, quiet=True))
    assert more.state == "complete" and set(configs(tmp_path / "C")) == set(range(7))
    again = json.loads((tmp_path / "C" / "study.json").read_text())
    for key in ("guesses", "first_configs", "space"):
        assert again["models"]["lenet5"][key] == stored["models"]["lenet5"][key]
    assert again["spec"]["learn_from"] == ["all"]
