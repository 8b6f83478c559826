"""A guess of good values, which a search follows at its beginning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Guess:
    """A configuration that may be good."""

    config: Mapping[str, Any]
    """Some of the hyperparameters, or all; nothing is said of the others."""
    weight: float = 1.0
    """How much it counts, relative to the other guesses of a search."""
    widths: Mapping[str, float] = field(default_factory=dict)
    """How sure it is: standard deviations, in units of a hyperparameter's range; the sampler has a default."""
