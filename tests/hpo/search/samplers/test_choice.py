from __future__ import annotations

import optuna
import pytest
from optuna.distributions import FloatDistribution

from hpo.search.samplers.choice import make_sampler, seed_sampler
from tests.helpers.searching import SPACE


@pytest.mark.parametrize("name", ["auto", "tpe", "random", "gp", "cmaes"])
def test_every_sampler_works_without_a_warning(name: str, recwarn: pytest.WarningsRecorder) -> None:
    study = optuna.create_study(sampler=make_sampler(name, 0), direction="maximize")
    space = {**SPACE, "activation": optuna.distributions.CategoricalDistribution(("relu", "gelu"))}
    for number in range(14):
        trial = study.ask(space)
        study.tell(trial, number / 20 + trial.params["lr"])
    assert [str(w.message) for w in recwarn.list] == []


@pytest.mark.parametrize(("directions", "together"), [(["maximize"], {"x", "y"}), (["maximize", "minimize"], set())])
def test_tpe_draws_all_hyperparameters_together_for_one_objective_alone(
    directions: list[str], together: set[str]
) -> None:
    study = optuna.create_study(sampler=make_sampler("tpe", 0), directions=directions)
    space = {name: FloatDistribution(0.0, 1.0) for name in ("x", "y")}
    for _ in range(3):
        study.tell(study.ask(fixed_distributions=dict(space)), [0.5] * len(directions))
    waiting = study.ask()._cached_frozen_trial
    assert set(study.sampler.infer_relative_search_space(study, waiting)) == together


def test_auto_is_podiums_own_for_one_objective_and_tpe_for_several() -> None:
    names = []
    for directions in (["maximize"], ["maximize", "minimize"]):
        study = optuna.create_study(directions=directions)
        seed_sampler(study, "auto", 0)
        names.append(type(study.sampler).__name__)
    assert names == ["RankSampler", "TPESampler"]
