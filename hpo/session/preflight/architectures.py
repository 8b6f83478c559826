"""The architectures of a study: their spaces and parameter counts, and which of them are left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from hpo.networks.capacity import counted
from hpo.spec.plan import ModelPlan
from hpo.spec.search import SearchSpec
from hpo.spec.spaces.guess import Guess
from hpo.spec.spaces.prior import enqueued, first_configs, user_guesses
from hpo.spec.spaces.search_space import Space
from hpo.system.errors import UserError
from models import count_parameters, fetch_pretrained, is_built_in
from trainers.config import split_config
from trainers.data.dataset import Dataset


def plan_models(
    search: SearchSpec, spaces: Mapping[str, Space], dataset: Dataset, device: str | None
) -> tuple[tuple[ModelPlan, ...], list[str]]:
    """The architectures that take these images and fit --max-parameters, and notes about those that do not.

    device: whose memory counts; None where that is not known before the run. Raises UserError where none is left.
    """
    guesses, wanted = user_guesses(search, spaces), enqueued(search, spaces)
    plans, refused = _buildable(spaces, guesses, wanted, dataset, device, search.max_parameters)
    kept, over = _within(search.max_parameters, plans, dataset)
    notes = [f"left out: {'; '.join(refused)}"] if refused else []
    notes += [f"left out by --max-parameters {search.max_parameters}: {', '.join(over)}"] if over else []
    idle = sorted(set(search.space) - set(search.model))
    notes += [f"--config: [space.{name}] is for no architecture of this run" for name in idle]
    return tuple(kept), notes


def fetch_all_pretrained(models: tuple[ModelPlan, ...]) -> None:
    """Downloads weights that trials begin with once, here, before several workers would."""
    for model in models:
        for choice in getattr(model.space.distributions.get("pretrained"), "choices", ()):
            fetch_pretrained(model.name, {"pretrained": choice})


def _buildable(
    spaces: Mapping[str, Space],
    guesses: Mapping[str, Guess],
    wanted: Mapping[str, list[Guess]],
    dataset: Dataset,
    device: str | None,
    most: int | None,
) -> tuple[list[ModelPlan], list[str]]:
    """The architectures that can be built for these images, and why the others cannot."""
    plans, refused = [], []
    for name, space in spaces.items():
        try:
            guessed = [guesses[name]] if name in guesses else []
            parameters = counted(name, dataset, space.default, device, most)
            first = first_configs(space, [*wanted[name], *guessed])
            plans.append(ModelPlan(name, space, parameters, guesses=tuple(guessed), first_configs=first))
        except ValueError as error:
            if len(spaces) == 1 or not is_built_in(name):
                raise UserError(f"--model {error}" if is_built_in(name) else str(error)) from error
            refused.append(str(error))
    if not plans:
        raise UserError(f"--model: none takes these images; {refused[0]}")
    return plans, refused


def _within(most: int | None, plans: list[ModelPlan], dataset: Dataset) -> tuple[list[ModelPlan], list[str]]:
    """The architectures that have a configuration of at most so many parameters, and what the others have."""
    if most is None:
        return plans, []
    least = {plan.name: _least_parameters(plan, dataset) for plan in plans}
    kept = [plan for plan in plans if least[plan.name] <= most]
    over = [f"{plan.name} has {least[plan.name]:,}" for plan in plans if plan not in kept]
    if not kept:
        raise UserError(f"--max-parameters {most}: fewer than any configuration has ({', '.join(over)})")
    return kept, over


def _least_parameters(plan: ModelPlan, dataset: Dataset) -> int:
    """The parameters of the smallest configuration in the space; 0 for a user's own architecture, where nothing says
    which that is."""
    if not is_built_in(plan.name) and split_config(plan.space.distributions)[1]:
        return 0
    smallest = {**plan.space.default, **{key: _smallest(d) for key, d in plan.space.distributions.items()}}
    _, arch = split_config({key: smallest[key] for key in plan.space.default})
    return min(plan.parameters, count_parameters(plan.name, dataset.input_shape, len(dataset.classes), **arch))


def _smallest(distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        numbers = all(isinstance(choice, int | float) for choice in distribution.choices)
        return min(distribution.choices) if numbers else distribution.choices[0]  # type: ignore[type-var]
    return distribution.low  # type: ignore[attr-defined]
