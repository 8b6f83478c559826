from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpo.networks.inherited import from_model, from_recipe, from_winner
from hpo.system.errors import UserError


def test_nothing_but_the_architecture() -> None:
    assert from_model(None).model == "cnn" and from_model("mlp").config == {} and from_model("mlp").epochs is None
    with pytest.raises(UserError, match="--model lenet: unknown"):
        from_model("lenet")


def test_a_recipe_has_hyperparameters_and_a_normalization() -> None:
    settings = from_recipe("E", "mlp")
    assert settings.config["lr"] == 1e-3 and settings.epochs == 5 and settings.mean == 0.1307
    assert not {"epochs", "seed", "device"} & set(settings.config)
    with pytest.raises(UserError, match="--recipe E: has several models; choose one with --model mlp or cnn"):
        from_recipe("E", None)


def test_a_winner_has_its_data_which_other_data_replace(trained: Path) -> None:
    settings = from_winner(trained, None)
    assert settings.model == "lenet5_bn" and settings.config["dropout"] == 0.1 and settings.train_size == 1000
    assert settings.dataset == "digits" and settings.epochs == 6
    other = settings.on_other_data()
    assert (other.dataset, other.train_size, other.mean, other.hashes) == (None, None, None, None)
    assert other.config == settings.config


def test_a_damaged_winner_is_refused(trained: Path, tmp_path: Path) -> None:
    best = json.loads((trained / "best.json").read_text())
    best["trial"]["precision"] = "half"
    (tmp_path / "best.json").write_text(json.dumps(best))
    with pytest.raises(UserError, match=r"--from .*: its best.json cannot be read \(precision"):
        from_winner(tmp_path, None)
