"""Learning rate schedules: torch's own, stepped once a batch."""

from __future__ import annotations

from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, OneCycleLR, StepLR

from trainers.config import SCHEDULES, TrainConfig

MOMENTUM_SWING = 0.05  # one-cycle moves the momentum this far to either side of its value
# Share of the steps in which the learning rate falls. For wsd: Hägele et al. (2024) find that 10 to 20 % of a long
# training are enough, and that a short one gains from more.
WSD_DECAY_SHARE = 0.3


def make_schedule(optimizer: Optimizer, config: TrainConfig, steps_per_epoch: int) -> LRScheduler | None:
    """Makes the schedule that `config` names, to be stepped after every batch; None for "none".

    step multiplies lr by step_factor every step_epochs epochs. cosine goes from lr to 0 within `epochs` (Loshchilov &
    Hutter, 2017). one-cycle rises to lr and falls to nearly 0 within `epochs`, with the momentum moving the other way
    (Smith & Topin, 2018). wsd (warm-up, stable, decay) rises to lr within the share `warm_up` of the steps, stays
    there, and falls to 0 within the last 30 %, both in a straight line (Hägele et al., 2024: "Scaling Laws and
    Compute-Optimal Training Beyond Fixed Training Durations"). linear rises in the same way and then falls to 0 in one
    line. Raises ValueError for another name.
    """
    total = config.epochs * steps_per_epoch
    if config.schedule == "none":
        return None
    if config.schedule == "step":
        return StepLR(optimizer, config.step_epochs * steps_per_epoch, config.step_factor)
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimizer, total)
    if config.schedule == "one-cycle":
        middle = config.momentum if config.optimizer == "sgd" else config.beta1
        low, high = max(0.0, middle - MOMENTUM_SWING), min(middle + MOMENTUM_SWING, 0.999)
        # torch needs at least two steps: one up, one down.
        return OneCycleLR(optimizer, config.lr, max(total, 2), base_momentum=low, max_momentum=high)
    if config.schedule == "wsd":
        return LambdaLR(optimizer, _trapezoid(total, config.warm_up, WSD_DECAY_SHARE))
    if config.schedule == "linear":
        return LambdaLR(optimizer, _trapezoid(total, config.warm_up, 1 - config.warm_up))
    raise ValueError(f"schedule {config.schedule!r}: choose from {', '.join(SCHEDULES)}")


def _trapezoid(total: int, rise_share: float, decay_share: float) -> Callable[[int], float]:
    """Returns the factor of the learning rate at each of `total` steps: up to 1, at 1, and down to 0 at the end."""
    rise, fall = max(1, round(total * rise_share)), max(1, round(total * decay_share))
    return lambda step: max(0.0, min(1.0, (step + 1) / rise, (total - step) / fall))
