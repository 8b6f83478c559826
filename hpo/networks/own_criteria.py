"""Whether a loss or a metric of the user's own can be used: it is tried before anything starts."""

from __future__ import annotations

import math
from collections.abc import Iterable

from hpo.spec.spaces.own_functions import is_own, load
from hpo.system.errors import UserError
from hpo.system.text import describe_error

_IMAGES = 8


def check_criteria(losses: Iterable[str], metric: str, classes: int) -> None:
    """Raises UserError, in one line, for a loss or metric that is not usable with so many classes."""
    for loss in filter(is_own, losses):
        _try_loss(loss, classes)
    if is_own(metric):
        _try_metric(metric, classes)
    if metric == "top5" and classes <= 5:
        raise UserError(f"--metric top5: with {classes} classes every image is right; choose another metric")


def _try_loss(name: str, classes: int) -> None:
    import torch

    loss, logits = load("--loss", name), torch.linspace(-1, 1, _IMAGES * classes).view(_IMAGES, classes)
    logits.requires_grad_()
    try:
        value = loss(logits, torch.arange(_IMAGES) % classes)
    except Exception as error:
        said = f"fails for logits ({_IMAGES}, {classes}) and labels ({_IMAGES},)"
        raise UserError(f"--loss {name}: {said}: {describe_error(error)}") from error
    if not isinstance(value, torch.Tensor) or value.shape != ():
        what = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise UserError(f"--loss {name}: returns {what}; it must return a single number, the mean over the images")
    if not value.requires_grad:
        raise UserError(f"--loss {name}: its result does not depend on the logits")


def _try_metric(name: str, classes: int) -> None:
    import numpy as np

    metric = load("--metric", name)
    probabilities = np.full((_IMAGES, classes), 1 / classes, dtype=np.float32)
    try:
        value = metric(np.arange(_IMAGES) % classes, probabilities)
    except Exception as error:
        said = f"fails for labels ({_IMAGES},) and probabilities ({_IMAGES}, {classes})"
        raise UserError(f"--metric {name}: {said}: {describe_error(error)}") from error
    if not isinstance(value, int | float | np.number) or isinstance(value, bool) or math.isnan(value):
        raise UserError(f"--metric {name}: returns {value!r}; it must return a number, of which more is better")
