"""The user's own functions, where a configuration names them: `loss` and `metric`."""

from __future__ import annotations

from dataclasses import dataclass

from trainers.criteria.losses import OwnLoss
from trainers.criteria.metrics import Metric


@dataclass(frozen=True, kw_only=True)
class OwnFunctions:
    """What whoever imports the user's code found there."""

    loss: OwnLoss | None = None
    """Takes logits (N, classes) and labels (N,), tensors; returns the batch's loss, a single number."""
    metric: Metric | None = None
    """Takes labels (N,) and probabilities (N, classes), arrays; returns a number, of which more is better."""


NONE = OwnFunctions()
