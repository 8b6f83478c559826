"""--max-parameters: a budget that is kept, not a wish."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from models import count_parameters
from trainers.config import split_config


def within_budget(
    model: str, input_shape: tuple[int, int, int], num_classes: int, max_parameters: int | None
) -> Callable[[Mapping[str, Any]], bool]:
    """Says of a configuration whether its network has at most so many parameters.

    They are counted on torch's meta device. A constraint in the sampler would be a wish: a quarter to a half of what it
    draws is over the budget.
    """
    if max_parameters is None:
        return lambda _: True

    @cache
    def count(arch: frozenset[tuple[str, Any]]) -> int:
        return count_parameters(model, input_shape, num_classes, **dict(arch))

    def fits(params: Mapping[str, Any]) -> bool:
        try:
            return count(frozenset(split_config(params)[1].items())) <= max_parameters
        except Exception:
            return True  # a network that cannot be made is a failed trial, which says why

    return fits
