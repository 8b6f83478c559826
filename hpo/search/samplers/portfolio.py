"""The built-in portfolio: configurations that were good on several data sets, for the trials after the recipe.

portfolio.json lists them by architecture, the best first. tests.benchmarks.tables.portfolio makes it from tables of
real trials. (Portfolios: Feurer et al., 2022, "Auto-Sklearn 2.0".)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hpo.search.samplers.experience import allowed, covering
from hpo.spec.spaces.defaults import LR_OF_THEIR_OWN
from hpo.spec.spaces.search_space import Space
from models.libraries import is_library

FILE = Path(__file__).with_name("portfolio.json")
# On the tables, searches of 50 trials find as much with 4 as with 8, and more than with 2.
MOST = 4


def portfolio(model: str, space: Space, trials: int) -> tuple[dict[str, Any], ...]:
    """Returns what a search of so many trials tries after the recipe: configurations that were good for this
    architecture on other data sets; where the tables have none of it, those that were the best for others."""
    # The learning rates of others are too large for some, and a library's networks are much larger than they are.
    if model in LR_OF_THEIR_OWN or is_library(model) or not space.searched:
        return ()
    known = _known()
    return after_recipe([known[model]] if model in known else list(known.values()), space, trials)


def after_recipe(good: Sequence[Sequence[Mapping[str, Any]]], space: Space, trials: int) -> tuple[dict[str, Any], ...]:
    """Returns what a search of so many trials tries of these configurations. good: as `covering` takes them."""
    return tuple(covering(good, space, min(MOST, allowed(trials))))


@cache
def _known() -> Mapping[str, list[dict[str, Any]]]:
    known: Mapping[str, list[dict[str, Any]]] = json.loads(FILE.read_text())
    return known
