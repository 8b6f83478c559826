from __future__ import annotations

import re

import pytest

from hpo.networks.inherited import from_recipe
from hpo.networks.reproduction.recipes import RECIPES, SYSTEMS, recipes
from hpo.spec.spaces.search_space import configuration
from models import MODELS, count_parameters
from trainers.config import split_config


def test_every_architecture_of_a_system_has_a_recipe() -> None:
    of_no_system = {"resnet20", "resnet18"}  # they are for images that the five systems did not have
    assert set(MODELS) - of_no_system == {recipe.model for recipe in RECIPES}
    assert {recipe.system for recipe in RECIPES} == set(SYSTEMS)
    assert len({(recipe.system, recipe.model) for recipe in RECIPES}) == len(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: f"{r.system}-{r.model}")
def test_a_recipe_is_a_valid_configuration_of_its_architecture(recipe: object) -> None:
    origin = from_recipe(recipe.system, recipe.model)  # type: ignore[attr-defined]
    config = configuration(origin.model, {key: (key, value) for key, value in origin.config.items()})
    assert {key: config[key] for key in origin.config} == origin.config
    counted = count_parameters(origin.model, (1, 28, 28), 10, **split_config(config)[1])
    claimed = recipe.claim.parameters  # type: ignore[attr-defined]
    # VGG16's published count is the one before its head was replaced.
    assert claimed is None or counted == claimed or origin.model == "vgg16"


def test_recipes_are_chosen_by_system_and_model() -> None:
    assert [recipe.model for recipe in recipes("E")] == ["mlp", "cnn"]
    assert [recipe.system for recipe in recipes(None, ("mlp",))] == ["D", "E"]
    assert len(recipes()) == len(RECIPES)
    with pytest.raises(ValueError, match=re.escape("--model cnn: no recipe of that name in system C; choose from mlp")):
        recipes("C", ("cnn",))
    with pytest.raises(ValueError, match="--system X: choose from A "):
        recipes("X")
