"""Learning rate schedules, torch's own, stepped once a batch."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, StepLR

from trainers.config import SCHEDULES, TrainConfig

SWING = 0.05


def make_schedule(optimizer: Optimizer, config: TrainConfig, steps_per_epoch: int) -> LRScheduler | None:
    """The schedule that `config` names, to be stepped after every batch; None for "none".

    step: times step_factor every step_epochs epochs. cosine: from lr to 0 within `epochs` (Loshchilov & Hutter,
    2017). one-cycle: up to lr and down to nearly 0 within `epochs`, momentum the other way, by 0.05 around its
    value (Smith & Topin, 2018). Raises ValueError for another name.
    """
    total = config.epochs * steps_per_epoch
    if config.schedule == "none":
        return None
    if config.schedule == "step":
        return StepLR(optimizer, config.step_epochs * steps_per_epoch, config.step_factor)
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimizer, total)
    if config.schedule == "one-cycle":
        # Of adam and adamw it is beta1 that swings, around its usual value.
        middle = config.momentum if config.optimizer == "sgd" else 0.9
        low, high = max(0.0, middle - SWING), min(middle + SWING, 0.999)
        # Two steps are its least: one up, one down.
        return OneCycleLR(optimizer, config.lr, max(total, 2), base_momentum=low, max_momentum=high)
    raise ValueError(f"schedule {config.schedule!r}: choose from {', '.join(SCHEDULES)}")
