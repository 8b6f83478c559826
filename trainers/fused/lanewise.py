"""An optimizer of many lanes: each has its own rule, learning rate and weight decay, and moves as with PyTorch's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from trainers.config import TrainConfig
from trainers.optimizer import make_optimizer, moved_to
from trainers.schedule import make_schedule


class LanewiseOptimizer:
    """adam, adamw or sgd for each of K lanes, and their schedule, over stacked parameters of (K, ...) each."""

    def __init__(self, parameters: Sequence[Tensor], configs: Sequence[TrainConfig], steps_per_epoch: int) -> None:
        self.parameters, self.configs = list(parameters), list(configs)
        lanes: dict[str, list[int]] = {}
        for lane, config in enumerate(configs):
            lanes.setdefault(_rule(config), []).append(lane)
        self.groups = [_Group(rule, own, parameters, configs, steps_per_epoch) for rule, own in lanes.items()]

    @torch.no_grad()
    def step(self) -> None:
        """Moves the parameters and takes their gradients away."""
        for group in self.groups:
            group.step(self.parameters)
        self.clear()

    def clear(self) -> None:
        """Takes away the gradients, also those of a step that broke off."""
        for parameter in self.parameters:
            parameter.grad = None

    def advance(self) -> None:
        """Takes the schedule a step on."""
        for group in self.groups:
            if group.schedule:
                group.schedule.step()

    def keep(self, lanes: Sequence[int], parameters: Sequence[Tensor]) -> None:
        """Goes on with these lanes, whose parameters these are."""
        self.parameters, self.configs = list(parameters), [self.configs[lane] for lane in lanes]
        self.groups = [group for group in self.groups if not set(group.lanes).isdisjoint(lanes)]
        for group in self.groups:
            group.keep(lanes, parameters, self.configs)

    def changed(self) -> dict[str, Tensor]:
        """What a step changes, but for the parameters, by name."""
        return {f"{group.rule}.{name}": value for group in self.groups for name, value in group.changed().items()}

    def state(self, lane: int) -> dict[str, Any]:
        """A lane's moments, and where its schedule stands: tensors on the CPU and plain values."""
        (group,) = (group for group in self.groups if lane in group.lanes)
        return group.state(lane)

    def load(self, states: Sequence[dict[str, Any]]) -> None:
        """The opposite, of all lanes."""
        for group in self.groups:
            group.load([states[lane] for lane in group.lanes])


class _Group:
    """The lanes of one rule.

    The directions are those of PyTorch's own optimizer with a learning rate of 1, over arrays that hold nothing else;
    each lane goes along its own as far as its learning rate says. A schedule of `inner` is therefore one of all lanes,
    each in proportion.
    """

    def __init__(
        self,
        rule: str,
        lanes: list[int],
        parameters: Sequence[Tensor],
        configs: Sequence[TrainConfig],
        steps_per_epoch: int,
    ) -> None:
        self.rule = rule
        self._take(lanes, parameters, configs)
        shared = replace(configs[0], optimizer=rule, lr=1.0, weight_decay=0.0)
        self.inner = make_optimizer(self.moves, shared)
        self.schedule = make_schedule(self.inner, shared, steps_per_epoch)

    def step(self, parameters: Sequence[Tensor]) -> None:
        factor = self.inner.param_groups[0]["lr"]  # of a schedule
        values = [self._own(parameter) for parameter in parameters]
        for n, (parameter, value, move) in enumerate(zip(parameters, values, self.moves, strict=True)):
            assert parameter.grad is not None
            move.grad = self._own(parameter.grad)
            if self.decays:
                value.mul_(1 - factor * self.decays[n])
            if self.penalties:
                move.grad.addcmul_(value, self.penalties[n])
        self.inner.step()
        for parameter, value, move, lr in zip(parameters, values, self.moves, self.lrs, strict=True):
            value.addcmul_(move, lr)
            move.grad = None
            move.zero_()
            if self.index is not None:
                parameter.index_copy_(0, self.index, value)

    def keep(self, lanes: Sequence[int], parameters: Sequence[Tensor], configs: Sequence[TrainConfig]) -> None:
        """Goes on with those of its lanes that are among these: `parameters` and `configs` are of these alone."""
        left = [self.lanes.index(lane) for lane in lanes if lane in self.lanes]
        moments = [{key: _part(value, left) for key, value in values.items()} for values in self._moments()]
        self._take([place for place, lane in enumerate(lanes) if lane in self.lanes], parameters, configs)
        self.inner.param_groups[0]["params"] = self.moves
        self.inner.state.clear()
        self.inner.state.update(zip(self.moves, moments, strict=True))

    def changed(self) -> dict[str, Tensor]:
        moments = enumerate(self._moments())
        kept = {f"{n}.{key}": value for n, values in moments for key, value in values.items()}
        return {**{f"{n}.move": move for n, move in enumerate(self.moves)}, **kept}

    def state(self, lane: int) -> dict[str, Any]:
        place = self.lanes.index(lane)
        moments = [
            {key: _part(value, place).to("cpu", copy=True) for key, value in values.items()}
            for values in self._moments()
        ]
        group = {key: value for key, value in self.inner.param_groups[0].items() if key != "params"}
        schedule = self.schedule.state_dict() if self.schedule else None
        return {"moments": moments, "group": {**group, "lr": float(group["lr"])}, "schedule": schedule}

    def load(self, states: Sequence[dict[str, Any]]) -> None:
        for n, (move, first) in enumerate(zip(self.moves, states[0]["moments"], strict=True)):
            for key, value in first.items():
                stacked = torch.stack([state["moments"][n][key] for state in states]) if value.dim() else value.clone()
                self.inner.state[move][key] = stacked.to(move.device)
        (group,) = self.inner.param_groups
        group.update(moved_to(states[0]["group"], group))
        if self.schedule:
            self.schedule.load_state_dict(states[0]["schedule"])

    def _take(self, lanes: list[int], parameters: Sequence[Tensor], configs: Sequence[TrainConfig]) -> None:
        self.lanes = lanes
        self.index = None if len(lanes) == len(configs) else torch.tensor(lanes, device=parameters[0].device)
        own = [configs[lane] for lane in lanes]
        penalties = [0.0 if config.optimizer == "adamw" else config.weight_decay for config in own]
        decays = [config.lr * config.weight_decay if config.optimizer == "adamw" else 0.0 for config in own]
        self.lrs = _by_lane([config.lr for config in own], parameters)
        self.penalties = _by_lane(penalties, parameters) if any(penalties) else []
        self.decays = _by_lane(decays, parameters) if any(decays) else []
        self.moves = [nn.Parameter(torch.zeros_like(self._own(parameter))) for parameter in parameters]

    def _own(self, values: Tensor) -> Tensor:
        """Its lanes of what is stacked of all."""
        return values if self.index is None else values.detach()[self.index]

    def _moments(self) -> list[dict[str, Tensor]]:
        """What the optimizer keeps of each parameter."""
        return [self.inner.state.get(move, {}) for move in self.moves]


def _rule(config: TrainConfig) -> str:
    """What moves the lane: adamw is adam but for its decay, which is no part of the rule here."""
    return "adam" if config.optimizer == "adamw" else config.optimizer


def _by_lane(values: Sequence[float], parameters: Sequence[Tensor]) -> list[Tensor]:
    """A number for each lane, to be multiplied with each parameter."""
    return [
        torch.tensor(values, device=parameter.device).view(-1, *[1] * (parameter.dim() - 1)) for parameter in parameters
    ]


def _part(value: Tensor, lanes: Any) -> Tensor:
    """Some lanes' part of what the optimizer keeps; a number is that of all."""
    return value[lanes] if value.dim() else value
