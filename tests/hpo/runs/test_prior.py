"""A run with a user's guess of good values."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from hpo import StudySpec, run_study

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_local")]


def test_the_guess_is_tried_after_the_recipe_and_a_resumed_run_goes_on(tmp_path: Path) -> None:
    settings = {"model": "mlp_small", "dataset": "digits", "train_size": 200, "epochs": 3, "finalists": 0}
    usual = {**settings, "results_dir": tmp_path, "quiet": True, "concurrency": 1}
    result = run_study(StudySpec.of(**usual, trials=3, name="a", prior=["lr=0.01:0.05", "activation=gelu"]))
    study = optuna.load_study(study_name="mlp_small", storage=f"sqlite:///{result.folder}/study.db")
    recipe, guess = (trial.params for trial in study.trials[:2])
    assert (guess["lr"], guess["activation"]) == (0.01, "gelu") and (recipe["lr"], recipe["activation"]) == (
        3e-3,
        "relu",
    )
    assert {key: value for key, value in guess.items() if value != recipe[key]} == {"lr": 0.01, "activation": "gelu"}
    again = run_study(StudySpec.of(results_dir=tmp_path, quiet=True, trials=5, resume="a"))
    assert len(again.frame) == 5 and again.exit_code == 0
    assert [trial.params for trial in study.get_trials()[:2]] == [recipe, guess]
    with pytest.raises(ValueError, match="a resumed run cannot change --prior"):
        run_study(StudySpec.of(results_dir=tmp_path, resume="a", prior="lr=1e-3"))
