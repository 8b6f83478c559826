"""The optimizers, torch's own in their fused form, without what only torch.compile needs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from trainers.config import OPTIMIZERS, TrainConfig

_WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "step", "zero_grad")


def make_optimizer(model: nn.Module, config: TrainConfig) -> Optimizer:
    """adam, adamw or sgd with momentum; ValueError for another name."""
    options: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": True}
    if config.optimizer == "adam":
        return _uncompiled(Adam)(model.parameters(), **options)
    if config.optimizer == "adamw":
        return _uncompiled(AdamW)(model.parameters(), **options)
    if config.optimizer == "sgd":
        return _uncompiled(SGD)(model.parameters(), momentum=config.momentum, **options)
    raise ValueError(f"optimizer {config.optimizer!r}: choose from {', '.join(OPTIMIZERS)}")


@functools.cache
def _uncompiled(kind: type[Optimizer]) -> Callable[..., Optimizer]:
    """`kind` with its methods taken out of the wrappers that keep torch.compile from tracing them: the first call of
    one imports the whole compiler, two seconds of every worker's start."""
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in _WRAPPED}
    return type(kind.__name__, (kind,), {**methods, "step": torch.no_grad()(methods["step"])})
