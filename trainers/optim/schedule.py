"""Learning rate schedules: torch's own, stepped once a batch."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, StepLR

from trainers.config import SCHEDULES, TrainConfig

MOMENTUM_SWING = 0.05  # one-cycle moves the momentum this far to either side of its value
ADAM_BETA1 = 0.9  # what one-cycle moves for adam and adamw: torch's default


def make_schedule(optimizer: Optimizer, config: TrainConfig, steps_per_epoch: int) -> LRScheduler | None:
    """Makes the schedule that `config` names, to be stepped after every batch; None for "none".

    step multiplies lr by step_factor every step_epochs epochs. cosine goes from lr to 0 within `epochs` (Loshchilov &
    Hutter, 2017). one-cycle rises to lr and falls to nearly 0 within `epochs`, with the momentum moving the other way
    (Smith & Topin, 2018). Raises ValueError for another name.
    """
    total = config.epochs * steps_per_epoch
    if config.schedule == "none":
        return None
    if config.schedule == "step":
        return StepLR(optimizer, config.step_epochs * steps_per_epoch, config.step_factor)
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimizer, total)
    if config.schedule == "one-cycle":
        middle = config.momentum if config.optimizer == "sgd" else ADAM_BETA1
        low, high = max(0.0, middle - MOMENTUM_SWING), min(middle + MOMENTUM_SWING, 0.999)
        # torch needs at least two steps: one up, one down.
        return OneCycleLR(optimizer, config.lr, max(total, 2), base_momentum=low, max_momentum=high)
    raise ValueError(f"schedule {config.schedule!r}: choose from {', '.join(SCHEDULES)}")
