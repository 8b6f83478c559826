"""The optimizers, torch's own in their fused form, without what only torch.compile needs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from trainers.config import OPTIMIZERS, TrainConfig

_WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "step", "zero_grad")


def make_optimizer(parameters: Iterable[Tensor], config: TrainConfig) -> Optimizer:
    """adam, adamw or sgd with momentum; ValueError for another name."""
    options: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": True}
    adams: dict[str, Any] = {}
    if has_capturable_optimizer(config):
        # A graph has what it reads at its capture, so a schedule must write into the same memory.
        options["lr"], adams = torch.tensor(config.lr, device=config.device), {"capturable": True}
    if config.optimizer == "adam":
        return _uncompiled(Adam)(parameters, **options, **adams)
    if config.optimizer == "adamw":
        return _uncompiled(AdamW)(parameters, **options, **adams)
    if config.optimizer == "sgd":
        return _uncompiled(SGD)(parameters, momentum=config.momentum, **options)
    raise ValueError(f"optimizer {config.optimizer!r}: choose from {', '.join(OPTIMIZERS)}")


def has_capturable_optimizer(config: TrainConfig) -> bool:
    """Whether a step can be captured as a CUDA graph: one-cycle also moves the momentum, which is the host's."""
    return config.device.startswith("cuda") and config.schedule != "one-cycle"


def load_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Takes over a state_dict from whatever device; how this one's steps are taken stays as it is."""
    before = [dict(group) for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, own in zip(optimizer.param_groups, before, strict=True):
        group.update(moved_to(group, own))


def moved_to(saved: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What a saved group says, for a group that lives elsewhere: its learning rate goes where the own one is."""
    lr = float(saved["lr"])
    kept = {key: own[key] for key in ("params", "capturable") if key in own}
    return {**saved, **kept, "lr": own["lr"].fill_(lr) if isinstance(own["lr"], Tensor) else lr}


@functools.cache
def _uncompiled(kind: type[Optimizer]) -> Callable[..., Optimizer]:
    """`kind` with its methods taken out of the wrappers that keep torch.compile from tracing them: the first call of
    one imports the whole compiler, two seconds of every worker's start."""
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in _WRAPPED}
    return type(kind.__name__, (kind,), {**methods, "step": torch.no_grad()(methods["step"])})
