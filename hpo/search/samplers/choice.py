"""The samplers that --sampler names."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIISampler,
    PartialFixedSampler,
    RandomSampler,
    TPESampler,
)

from hpo.search.samplers.rank import RankSampler
from hpo.search.samplers.views import best_and_newest
from hpo.spec.spaces.guess import Guess


def seed_sampler(
    study: optuna.Study, sampler: str, seed: int, rungs: Sequence[int] = (), guesses: Sequence[Guess] = ()
) -> None:
    """Gives the study its sampler. The seed depends on the number of trials: with the plain seed, a resumed study would
    repeat its first configurations. rungs: of early stopping, in epochs. guesses: configurations that may be good, for
    auto."""
    several = len(study.directions) > 1
    if sampler == "auto" and several:
        sampler = "tpe"
    made = make_sampler(sampler, seed + len(study.get_trials(deepcopy=False)), rungs, guesses)
    study.sampler = best_and_newest(made) if sampler == "tpe" and not several else made


def make_sampler(name: str, seed: int, rungs: Sequence[int] = (), guesses: Sequence[Guess] = ()) -> BaseSampler:
    """Makes a sampler: auto, which is Podium's own for one objective, or tpe, random, gp, cmaes or nsgaii, with the
    defaults of Optuna.

    Optuna's TPE is multivariate for one objective, and independent for several. In both cases it uses a constant liar:
    running trials count as bad ones, so that simultaneous trials differ.
    """
    makers: dict[str, Callable[[], BaseSampler]] = {
        "auto": lambda: RankSampler(seed, rungs, guesses),
        "tpe": lambda: TPESampler(seed=seed),
        "random": lambda: RandomSampler(seed=seed),
        "gp": lambda: GPSampler(seed=seed, warn_independent_sampling=False),
        "nsgaii": lambda: NSGAIISampler(seed=seed),
        "cmaes": lambda: CmaEsSampler(seed=seed, warn_independent_sampling=False),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return makers[name]()


def alike(shared: Mapping[str, Any], sampler: BaseSampler) -> BaseSampler:
    """Makes the sampler keep the `shared` hyperparameters at their values, and sample only the others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return PartialFixedSampler(dict(shared), sampler)
