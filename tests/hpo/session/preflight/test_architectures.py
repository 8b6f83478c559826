"""Which architectures a study has, and which are left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from hpo.session.preflight.planning import preflight
from hpo.spec.search import SearchSpec
from hpo.spec.spaces.guess import Guess
from hpo.spec.spaces.parameter_budget import within_budget
from models import MODELS
from tests.helpers.specs import digits as spec


def test_architectures_over_the_budget_are_left_out_and_said_so() -> None:
    plan = preflight(spec(model="all", max_parameters=50_000))
    small = ["mlp_small", "lenet5", "lenet5_bn", "compact_18k", "compact_7k", "compact_6k", "tiny_8k", "tiny_2k"]
    assert [m.name for m in plan.models] == small
    (note,) = plan.notices
    assert note.startswith("left out by --max-parameters 50000: mlp has 109,386, mlp_wide has 669,706, cnn has 429,258")


def test_with_its_widths_searched_a_large_architecture_may_fit() -> None:
    models = ["cnn_deep", "compact_190k", "lenet5"]
    plan = preflight(spec(model=models, max_parameters=8000, search_widths=True))
    assert [m.name for m in plan.models] == ["compact_190k"]
    assert "cnn_deep has " in plan.notices[0] and "lenet5 has 44,426" in plan.notices[0]


def test_architectures_that_these_images_are_too_small_for_are_left_out(tmp_path: Path) -> None:
    for number in range(20):
        file = tmp_path / "train" / f"{number}_{number % 2}.png"
        file.parent.mkdir(exist_ok=True)
        Image.new("L", (16, 16), number).save(file)
    plan = preflight(spec(model="all", dataset=str(tmp_path)))
    assert {m.name for m in plan.models} == set(MODELS) - {"compact_18k", "compact_7k", "compact_6k"}
    assert plan.notices[0].startswith("left out: compact_18k: needs images of at least 28x28, these are 16x16; ")
    with pytest.raises(ValueError, match="--model compact_7k: needs images of at least 22x22"):
        preflight(spec(model="compact_7k", dataset=str(tmp_path)))


def test_the_guess_of_an_architecture_follows_its_recipe() -> None:
    mlp, compact = preflight(spec(model=["mlp", "compact_7k"], prior="dropout=0.3", learn_from="none")).models
    assert mlp.guesses == (Guess({"dropout": 0.3}),)
    assert mlp.first_configs == (mlp.space.default, {**mlp.space.default, "dropout": 0.3})
    assert compact.guesses == () and compact.first_configs == (compact.space.default,)


def test_a_space_for_no_architecture_of_the_run_is_noticed(tmp_path: Path) -> None:
    search = SearchSpec(model=("mlp",), space={"cnn": {"lr": 0.1}})
    (note,) = preflight(replace(spec(model="mlp"), search=search)).notices
    assert note == "--config: [space.cnn] is for no architecture of this run"


@pytest.mark.parametrize("model", ["cnn", "all"])
def test_a_budget_that_nothing_fits_is_refused(model: str) -> None:
    with pytest.raises(ValueError, match=r"--max-parameters 10: fewer than any configuration has \(.*cnn has 429,258"):
        preflight(spec(model=model, max_parameters=10))


def test_a_budget_takes_an_own_architecture_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heads.py").write_text(
        "from torch import nn\n"
        "def net(input_shape, num_classes, *, dim=64, heads=8):\n"
        "    assert dim % heads == 0\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(784, dim), nn.Linear(dim, num_classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    space = {"heads:net": {"dim": {"low": 8, "high": 64}, "heads": {"low": 3, "high": 8}}}
    plan = preflight(spec(model="heads:net", max_parameters=10_000, space=space))
    shape, classes = plan.dataset.input_shape, len(plan.dataset.classes)
    fits = within_budget(plan.models[0].name, shape, classes, plan.spec.search.max_parameters)
    assert fits({"lr": 0.1, "dim": 8, "heads": 4}) and not fits({"lr": 0.1, "dim": 64, "heads": 4})
    assert fits({"lr": 0.1, "dim": 8, "heads": 3})  # it fails, as a trial, and says why
