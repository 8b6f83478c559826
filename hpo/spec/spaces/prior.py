"""--prior and --enqueue: what a user thinks is good, or wants tried; both are among the first trials."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hpo.spec.checks import unknown
from hpo.spec.search import SearchSpec
from hpo.spec.spaces.assignments import parse_value, split_assignment
from hpo.spec.spaces.domains import check_value
from hpo.spec.spaces.guess import Guess
from hpo.spec.spaces.search_space import Space, base_space, check_name
from hpo.system.errors import UserError


@dataclass(frozen=True)
class _Prior:
    """What one --prior, or one assignment of an --enqueue, says."""

    flag: str
    """With its value, as errors begin."""
    key: str
    text: str
    """What stands behind the name."""
    takes_width: bool = True
    """Whether lr=2e-3:0.3 says how sure the user is."""


def user_guesses(search: SearchSpec, spaces: Mapping[str, Space]) -> dict[str, Guess]:
    """Returns the guess of each architecture that searches a hyperparameter of --prior: all its values are one guess.

    spaces: those of all architectures of the study. Raises UserError for a name that is no hyperparameter, or is given
    twice, or is searched by none of them, and for a value or a width that cannot be.
    """
    priors, bases = list(_split(search.prior)), _bases(search, spaces)
    for prior in priors:
        _check_searched(prior, search, bases, spaces)
    guesses = {model: _guess(model, space, priors) for model, space in spaces.items()}
    return {model: guess for model, guess in guesses.items() if guess.config}


def enqueued(search: SearchSpec, spaces: Mapping[str, Space]) -> dict[str, list[Guess]]:
    """Returns the configurations of --enqueue, for each architecture that searches one of their hyperparameters.

    Raises UserError as `user_guesses`.
    """
    found: dict[str, list[Guess]] = {model: [] for model in spaces}
    bases = _bases(search, spaces)
    for text in search.enqueue:
        flag = f"--enqueue {text}"
        said = [_Prior(flag, *split_assignment("--enqueue", part), takes_width=False) for part in text.split(",")]
        keys = [prior.key for prior in said]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise UserError(f"{flag}: {twice} is given twice")
        wanted = [prior for prior in said if not _is_fixed_so(prior, bases, spaces)]
        for prior in wanted:
            _check_searched(prior, search, bases, spaces)
        guesses = {model: _guess(model, space, wanted) for model, space in spaces.items()}
        for model, guess in guesses.items():
            found[model] += [guess] if guess.config else []
    return found


def first_configs(space: Space, guesses: Sequence[Guess]) -> tuple[dict[str, Any], ...]:
    """Returns the first trials: the recipe, which is trained to its end in any case, and the recipe with the values of
    each guess. So a wrong guess costs one trial, which is stopped early."""
    configs = [space.default, *({**space.default, **guess.config} for guess in guesses)]
    return tuple(config for place, config in enumerate(configs) if config not in configs[:place])


def _split(texts: Sequence[str]) -> Iterator[_Prior]:
    seen: set[str] = set()
    for text in texts:
        key, value = split_assignment("--prior", text)
        if key in seen:
            raise UserError(f"--prior {text}: {key} is given twice; give one guess")
        seen.add(key)
        yield _Prior(f"--prior {text}", key, value)


def _bases(search: SearchSpec, spaces: Mapping[str, Space]) -> dict[str, Space]:
    """The architectures' own spaces, which a user has not narrowed."""
    return {model: base_space(model, search.trainer) for model in spaces}


def _check_searched(prior: _Prior, search: SearchSpec, bases: Mapping[str, Space], spaces: Mapping[str, Space]) -> None:
    """Raises UserError unless one of the architectures searches the hyperparameter."""
    check_name(prior.flag, prior.key, [*bases.values(), *spaces.values()])
    if any(prior.key in space.searched for space in spaces.values()):
        return
    if prior.key in [split_assignment("--set", text)[0] for text in search.fixed]:
        raise UserError(f"{prior.flag}: --set fixes {prior.key}; leave one of them out")
    model, fixed = _fixed_value(prior.key, bases, spaces)
    is_number = isinstance(fixed, int | float) and not isinstance(fixed, bool)
    way = f"--range {prior.key}=LOW:HIGH" if is_number else f"a list in the table [space.{model}] of a --config file"
    raise UserError(f"{prior.flag}: {prior.key} is fixed at {fixed}; to search it, give {way}")


def _is_fixed_so(prior: _Prior, bases: Mapping[str, Space], spaces: Mapping[str, Space]) -> bool:
    """Whether no architecture searches the hyperparameter, and its value is this one anyway."""
    if any(prior.key in space.searched for space in spaces.values()):
        return False
    check_name(prior.flag, prior.key, [*bases.values(), *spaces.values()])
    return _means(prior.text, _fixed_value(prior.key, bases, spaces)[1])


def _fixed_value(key: str, bases: Mapping[str, Space], spaces: Mapping[str, Space]) -> tuple[str, Any]:
    """The first architecture with this hyperparameter, and its value there."""
    for model, space in spaces.items():
        values = {**bases[model].default, **space.default}
        if key in values:
            return model, values[key]
    raise AssertionError(f"no architecture has {key}")


def _guess(model: str, space: Space, priors: Sequence[_Prior]) -> Guess:
    """The values for one architecture. Raises UserError for one that it does not search."""
    config: dict[str, Any] = {}
    widths: dict[str, float] = {}
    for prior in (prior for prior in priors if prior.key in space.searched):
        distribution = space.distributions[prior.key]
        if isinstance(distribution, CategoricalDistribution):
            config[prior.key] = _choice(prior, distribution)
            continue
        value, colon, width = prior.text.partition(":") if prior.takes_width else (prior.text, "", "")
        config[prior.key] = _number(prior, value, distribution, model)
        if colon:
            widths[prior.key] = _width(prior, width)
    return Guess(config, widths=widths)


def _choice(prior: _Prior, distribution: CategoricalDistribution) -> Any:
    choices = distribution.choices
    for choice in choices:
        if _means(prior.text, choice):
            return choice
    value, colon, _ = prior.text.rpartition(":")
    if prior.takes_width and colon and any(_means(value, choice) for choice in choices):
        raise UserError(f"{prior.flag}: {prior.key} is a choice and takes no width; give --prior {prior.key}={value}")
    raise unknown(prior.flag, prior.text, map(str, choices))


def _means(text: str, choice: Any) -> bool:
    """Whether a user's text is this choice: 1e-3 is 0.001, and true is not 1."""
    value = parse_value(text)
    return text == str(choice) or (value == choice and isinstance(value, bool) == isinstance(choice, bool))


def _number(prior: _Prior, text: str, distribution: BaseDistribution, model: str) -> float:
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    value, is_whole = parse_value(text), isinstance(distribution, IntDistribution)
    if isinstance(value, bool | str) or (is_whole and not isinstance(value, int)):
        raise UserError(f"{prior.flag}: {text!r} is not a{' whole' if is_whole else ''} number")
    check_value(prior.flag, prior.key, value, is_whole)
    low, high = distribution.low, distribution.high
    if not low <= value <= high:
        raise UserError(
            f"{prior.flag}: {model} searches {prior.key} from {low:g} to {high:g}; "
            f"--range {prior.key}=LOW:HIGH changes that"
        )
    return value if is_whole else float(value)


def _width(prior: _Prior, text: str) -> float:
    value = parse_value(text)
    if isinstance(value, bool | str) or not (math.isfinite(value) and 0 < value <= 1):
        raise UserError(f"{prior.flag}: the width {text} is a share of the range, over 0 and at most 1")
    return float(value)
