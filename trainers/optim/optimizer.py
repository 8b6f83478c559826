"""The optimizers: torch's own in their fused form, without what only torch.compile needs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from trainers.config import OPTIMIZERS, TrainConfig

ADAM_BETA2 = 0.999  # torch's default
_METHODS_WITH_COMPILER_WRAPPER = ("add_param_group", "load_state_dict", "state_dict", "step", "zero_grad")


def make_optimizer(parameters: Iterable[Tensor], config: TrainConfig) -> Optimizer:
    """Makes adam, adamw or sgd with momentum, as `config` says; raises ValueError for another name."""
    betas = config.beta1, ADAM_BETA2
    options: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": True}
    adams: dict[str, Any] = {}
    if has_capturable_optimizer(config):
        # A graph reads the address that it captured, so a schedule must write the new rate to the same memory.
        options["lr"], adams = torch.tensor(config.lr, device=config.device), {"capturable": True}
    if config.optimizer == "adam":
        return _uncompiled(Adam)(parameters, betas=betas, **options, **adams)
    if config.optimizer == "adamw":
        return _uncompiled(AdamW)(parameters, betas=betas, **options, **adams)
    if config.optimizer == "sgd":
        nesterov = config.nesterov and config.momentum > 0  # without momentum there is nothing to look ahead along
        return _uncompiled(SGD)(parameters, momentum=config.momentum, nesterov=nesterov, **options)
    raise ValueError(f"optimizer {config.optimizer!r}: choose from {', '.join(OPTIMIZERS)}")


def has_capturable_optimizer(config: TrainConfig) -> bool:
    """Tells whether the optimizer's step can be part of a CUDA graph.

    Not with one-cycle: that also changes the momentum, a number on the host, which a graph would freeze.
    """
    return config.device.startswith("cuda") and config.schedule != "one-cycle"


def load_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Loads a state_dict from whatever device; how this optimizer takes its steps stays as it is."""
    before = [dict(group) for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, own in zip(optimizer.param_groups, before, strict=True):
        group.update(moved_to(group, own))


def moved_to(saved: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the saved parameter group for use in place of `own`: its learning rate is written where `own`'s is."""
    lr = float(saved["lr"])
    kept = {key: own[key] for key in ("params", "capturable") if key in own}
    return {**saved, **kept, "lr": own["lr"].fill_(lr) if isinstance(own["lr"], Tensor) else lr}


@functools.cache
def _uncompiled(kind: type[Optimizer]) -> Callable[..., Optimizer]:
    """Returns `kind` without the wrappers that keep torch.compile from tracing its methods.

    The first call of such a wrapper imports the whole compiler: two seconds of every worker's start.
    """
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in _METHODS_WITH_COMPILER_WRAPPER}
    return type(kind.__name__, (kind,), {**methods, "step": torch.no_grad()(methods["step"])})
