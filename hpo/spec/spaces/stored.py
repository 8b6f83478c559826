"""What a run began with, read from its study.json: its space, since a newer Podium may search another one by default,
and what it took from earlier runs."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any
from zlib import crc32

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hpo.spec.spaces.guess import Guess
from hpo.spec.spaces.search_space import Space, move_into

_KINDS: dict[str, Any] = {kind.__name__: kind for kind in (CategoricalDistribution, FloatDistribution, IntDistribution)}


def checksum(stored: Mapping[str, str]) -> int:
    """Returns a checksum of a stored space: a flipped bit may well make another space of it."""
    return crc32(repr(sorted(stored.items())).encode())


def stored_space(space: Space, stored: Mapping[str, str], crc: int | None = None) -> Space:
    """Returns the space with the distributions of `stored`: hyperparameter to what str() makes of a distribution. Where
    that has none, the space stays.

    crc: its checksum; None of a run from before there was one. Raises ValueError where the stored space is damaged.
    """
    if not stored:
        return space
    if crc is not None and crc != checksum(stored):
        raise ValueError("the checksum of its space differs")
    distributions = {key: parse_distribution(text) for key, text in stored.items()}
    return Space(distributions, {key: move_into(space.default.get(key), d) for key, d in distributions.items()})


def parse_distribution(text: str) -> BaseDistribution:
    """Reads "FloatDistribution(high=0.1, log=True, low=0.001, step=None)". Raises ValueError for anything else."""
    try:
        call = ast.parse(text, mode="eval").body
        assert isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        values = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
        distribution: BaseDistribution = _KINDS[call.func.id](**values)
    except (AssertionError, KeyError, SyntaxError, TypeError, ValueError) as error:
        raise ValueError(f"{text!r} is no distribution") from error
    return distribution


def describe(distribution: BaseDistribution) -> str:
    """ "0.0001 ... 0.1 (log)", "8 ... 64 (steps of 8)", "relu, elu" or "0.1 (fixed)": what a hyperparameter may be."""
    if isinstance(distribution, CategoricalDistribution):
        values = ", ".join(map(str, distribution.choices))
        return values if len(distribution.choices) > 1 else f"{values} (fixed)"
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if distribution.single():
        return f"{distribution.low:g} (fixed)"
    stepped = distribution.step not in (None, 1)
    further = " (log)" if distribution.log else f" (steps of {distribution.step:g})" if stepped else ""
    return f"{distribution.low:g} ... {distribution.high:g}{further}"


def stored_guesses(stored: Any) -> tuple[Guess, ...]:
    """Returns the guesses of `stored`, a list of what `asdict` makes of them. Raises ValueError for anything else."""
    try:
        guesses = tuple(Guess(dict(one["config"]), float(one["weight"]), dict(one["widths"])) for one in stored)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("its guesses are no guesses") from error
    widths = [width for guess in guesses for width in guess.widths.values()]
    if not all(isinstance(number, int | float) and number > 0 for number in (*widths, *(g.weight for g in guesses))):
        raise ValueError("its guesses have no weight or width")
    return guesses


def stored_first_configs(stored: Any, space: Space) -> tuple[dict[str, Any], ...]:
    """Returns the configurations of `stored`. Raises ValueError where they are none of the space's."""
    if not isinstance(stored, list) or not all(isinstance(config, dict) for config in stored):
        raise ValueError("its first configurations are no list of tables")
    if any(set(config) != set(space.distributions) for config in stored):
        raise ValueError("its first configurations are not of its space")
    return tuple(stored)
