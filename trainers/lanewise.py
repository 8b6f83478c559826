"""An optimizer of many lanes: each has its own learning rate and weight decay, and moves as PyTorch would move it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from trainers.config import TrainConfig
from trainers.optimizer import make_optimizer, moved_to


class LanewiseOptimizer:
    """adam, adamw or sgd over the stacked parameters of K lanes, (K, ...) each.

    The directions are those of PyTorch's own optimizer with a learning rate of 1, over arrays that hold nothing else;
    each lane goes along its own as far as its learning rate says. A schedule of `inner` is therefore one of all lanes,
    each in proportion.
    """

    def __init__(self, parameters: Sequence[Tensor], configs: Sequence[TrainConfig]) -> None:
        self.configs = list(configs)
        shared = replace(configs[0], lr=1.0, weight_decay=0.0)
        self.decoupled = shared.optimizer == "adamw"
        self._take(parameters)
        self.inner = make_optimizer(self.moves, shared)

    @torch.no_grad()
    def step(self) -> None:
        """Moves the parameters and takes their gradients away."""
        factor = self.inner.param_groups[0]["lr"]  # of a schedule
        for parameter, move, lr, decay in zip(self.parameters, self.moves, self.lrs, self.decays, strict=True):
            assert parameter.grad is not None
            if self.decoupled:
                parameter.mul_(1 - factor * lr * decay)
            else:
                parameter.grad.addcmul_(parameter, decay)
            move.grad, parameter.grad = parameter.grad, None
        self.inner.step()
        for parameter, move, lr in zip(self.parameters, self.moves, self.lrs, strict=True):
            parameter.addcmul_(move, lr)
            move.grad = None
            move.zero_()

    def clear(self) -> None:
        """Takes away the gradients of a step that broke off."""
        for parameter in self.parameters:
            parameter.grad = None

    def keep(self, lanes: Sequence[int], parameters: Sequence[Tensor]) -> None:
        """Goes on with these lanes, whose parameters these are."""
        moments, index = self._moments(), torch.tensor(lanes, device=parameters[0].device)
        self.configs = [self.configs[lane] for lane in lanes]
        self._take(parameters)
        self.inner.param_groups[0]["params"] = self.moves
        self.inner.state.clear()
        for move, values in zip(self.moves, moments, strict=True):
            self.inner.state[move] = {key: _part(value, index) for key, value in values.items()}

    def changed(self) -> dict[str, Tensor]:
        """What a step changes, but for the parameters, by name."""
        moments = enumerate(self._moments())
        kept = {f"{n}.{key}": value for n, values in moments for key, value in values.items()}
        return {**{f"{n}.move": move for n, move in enumerate(self.moves)}, **kept}

    def state(self, lane: int) -> dict[str, Any]:
        """A lane's moments, and where its schedule stands: tensors on the CPU and plain values."""
        moments = [
            {key: _part(value, lane).to("cpu", copy=True) for key, value in values.items()}
            for values in self._moments()
        ]
        group = {key: value for key, value in self.inner.param_groups[0].items() if key != "params"}
        return {"moments": moments, "group": {**group, "lr": float(group["lr"])}}

    def load(self, states: Sequence[dict[str, Any]]) -> None:
        """The opposite, of all lanes."""
        for n, (move, first) in enumerate(zip(self.moves, states[0]["moments"], strict=True)):
            for key, value in first.items():
                stacked = torch.stack([state["moments"][n][key] for state in states]) if value.dim() else value.clone()
                self.inner.state[move][key] = stacked.to(move.device)
        (group,) = self.inner.param_groups
        group.update(moved_to(states[0]["group"], group))

    def _moments(self) -> list[dict[str, Tensor]]:
        """What the optimizer keeps of each parameter."""
        every = [self.inner.state.get(move, {}) for move in self.moves]
        return [{key: value for key, value in values.items() if value is not None} for values in every]

    def _take(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = list(parameters)
        self.lrs, self.decays = (
            [self._own(name, parameter) for parameter in parameters] for name in ("lr", "weight_decay")
        )
        self.moves = [nn.Parameter(torch.zeros_like(parameter)) for parameter in parameters]

    def _own(self, name: str, parameter: Tensor) -> Tensor:
        """Each lane's value of a setting, to be multiplied with the parameter."""
        values = [getattr(config, name) for config in self.configs]
        return torch.tensor(values, device=parameter.device).view(-1, *[1] * (parameter.dim() - 1))


def _part(value: Tensor, lanes: Any) -> Tensor:
    """Some lanes' part of what the optimizer keeps; a number is that of all."""
    return value[lanes] if value.dim() else value
