"""The optimizer of fused trials: each has its own rule, learning rate and weight decay, and moves as with PyTorch's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from trainers.config import TrainConfig
from trainers.optim.optimizer import make_optimizer, moved_to
from trainers.optim.schedule import make_schedule


class StackedOptimizer:
    """Applies adam, adamw or sgd, the limit of the gradient's norm and the schedule to each of K trials.

    parameters: stacked, (K, ...) each. configs: one per trial; they share the schedule, the momentum and beta1.
    """

    def __init__(self, parameters: Sequence[Tensor], configs: Sequence[TrainConfig], steps_per_epoch: int) -> None:
        self.parameters, self.configs = list(parameters), list(configs)
        self.limits = _limits(self.configs, self.parameters)
        by_rule: dict[str, list[int]] = {}
        for trial, config in enumerate(configs):
            by_rule.setdefault(_rule(config), []).append(trial)
        self.groups = [_RuleGroup(rule, own, parameters, configs, steps_per_epoch) for rule, own in by_rule.items()]

    @torch.no_grad()
    def step(self) -> None:
        """Moves the parameters and removes their gradients."""
        if self.limits is not None:
            clip([parameter.grad for parameter in self.parameters if parameter.grad is not None], self.limits)
        for group in self.groups:
            group.step(self.parameters)
        self.clear()

    def clear(self) -> None:
        """Removes the gradients, also those of a step that failed."""
        for parameter in self.parameters:
            parameter.grad = None

    def advance(self) -> None:
        """Moves the schedule one step on."""
        for group in self.groups:
            if group.schedule:
                group.schedule.step()

    def keep(self, trials: Sequence[int], parameters: Sequence[Tensor]) -> None:
        """Goes on with these trials; `parameters` are theirs only."""
        self.parameters, self.configs = list(parameters), [self.configs[trial] for trial in trials]
        self.limits = _limits(self.configs, self.parameters)
        self.groups = [group for group in self.groups if not set(group.trials).isdisjoint(trials)]
        for group in self.groups:
            group.keep(trials, parameters, self.configs)

    def changed(self) -> dict[str, Tensor]:
        """Returns the tensors that a step changes, by name, without the parameters."""
        return {f"{group.rule}.{name}": value for group in self.groups for name, value in group.changed().items()}

    def state(self, trial: int) -> dict[str, Any]:
        """Returns a trial's moments and the state of its schedule: tensors on the CPU and plain values."""
        (group,) = (group for group in self.groups if trial in group.trials)
        return group.state(trial)

    def load(self, states: Sequence[dict[str, Any]]) -> None:
        """Loads what `state` returned for each trial."""
        for group in self.groups:
            group.load([states[trial] for trial in group.trials])


class _RuleGroup:
    """The trials that follow one rule.

    PyTorch's own optimizer, with a learning rate of 1, gives the direction of each trial: it runs over tensors that
    hold nothing else, `moves`. Each trial then goes along its direction as far as its own learning rate says. A
    schedule of that optimizer therefore scales the learning rates of all trials by the same factor.
    """

    def __init__(
        self,
        rule: str,
        trials: list[int],
        parameters: Sequence[Tensor],
        configs: Sequence[TrainConfig],
        steps_per_epoch: int,
    ) -> None:
        self.rule = rule
        self._take(trials, parameters, configs)
        shared = replace(configs[0], optimizer=rule, lr=1.0, weight_decay=0.0)
        self.inner = make_optimizer(self.moves, shared)
        self.schedule = make_schedule(self.inner, shared, steps_per_epoch)

    def step(self, parameters: Sequence[Tensor]) -> None:
        """Moves this rule's trials along the gradients of the parameters."""
        factor = self.inner.param_groups[0]["lr"]  # of the schedule
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

    def keep(self, trials: Sequence[int], parameters: Sequence[Tensor], configs: Sequence[TrainConfig]) -> None:
        """Goes on with those of its trials that are among these; `parameters` and `configs` are of these only."""
        left = [self.trials.index(trial) for trial in trials if trial in self.trials]
        moments = [{key: _part(value, left) for key, value in values.items()} for values in self._moments()]
        self._take([place for place, trial in enumerate(trials) if trial in self.trials], parameters, configs)
        self.inner.param_groups[0]["params"] = self.moves
        self.inner.state.clear()
        self.inner.state.update(zip(self.moves, moments, strict=True))

    def changed(self) -> dict[str, Tensor]:
        """Returns the tensors that `step` changes, by name, without the parameters."""
        moments = enumerate(self._moments())
        kept = {f"{n}.{key}": value for n, values in moments for key, value in values.items()}
        return {**{f"{n}.move": move for n, move in enumerate(self.moves)}, **kept}

    def state(self, trial: int) -> dict[str, Any]:
        """Returns one trial's state: tensors on the CPU and plain values."""
        place = self.trials.index(trial)
        moments = [
            {key: _part(value, place).to("cpu", copy=True) for key, value in values.items()}
            for values in self._moments()
        ]
        group = {key: value for key, value in self.inner.param_groups[0].items() if key != "params"}
        schedule = self.schedule.state_dict() if self.schedule else None
        return {"moments": moments, "group": {**group, "lr": float(group["lr"])}, "schedule": schedule}

    def load(self, states: Sequence[dict[str, Any]]) -> None:
        """Loads what `state` returned for each of its trials."""
        for n, (move, first) in enumerate(zip(self.moves, states[0]["moments"], strict=True)):
            for key, value in first.items():
                stacked = torch.stack([state["moments"][n][key] for state in states]) if value.dim() else value.clone()
                self.inner.state[move][key] = stacked.to(move.device)
        (group,) = self.inner.param_groups
        group.update(moved_to(states[0]["group"], group))
        if self.schedule:
            self.schedule.load_state_dict(states[0]["schedule"])

    def _take(self, trials: list[int], parameters: Sequence[Tensor], configs: Sequence[TrainConfig]) -> None:
        self.trials = trials
        self.index = None if len(trials) == len(configs) else torch.tensor(trials, device=parameters[0].device)
        own = [configs[trial] for trial in trials]
        penalties = [0.0 if config.optimizer == "adamw" else config.weight_decay for config in own]
        decays = [config.lr * config.weight_decay if config.optimizer == "adamw" else 0.0 for config in own]
        self.lrs = _per_trial([config.lr for config in own], parameters)
        self.penalties = _per_trial(penalties, parameters) if any(penalties) else []
        self.decays = _per_trial(decays, parameters) if any(decays) else []
        self.moves = [nn.Parameter(torch.zeros_like(self._own(parameter))) for parameter in parameters]

    def _own(self, values: Tensor) -> Tensor:
        """Returns the part of stacked values (K, ...) that belongs to this rule's trials."""
        return values if self.index is None else values.detach()[self.index]

    def _moments(self) -> list[dict[str, Tensor]]:
        """Returns what the inner optimizer keeps of each parameter."""
        return [self.inner.state.get(move, {}) for move in self.moves]


def clip(gradients: Sequence[Tensor], limits: Tensor) -> None:
    """Scales each trial's part of stacked gradients, (K, ...) each, down to the norm limits[k]; 0: no limit.

    The norm is that of all gradients of a trial together, as in torch.nn.utils.clip_grad_norm_.
    """
    norms = torch.stack([torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients])
    factors = (limits / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp(max=1.0)
    factors = torch.where(limits > 0, factors, 1.0)  # also where a norm is not finite
    for gradient in gradients:
        gradient.mul_(_shaped(factors, gradient))


def _limits(configs: Sequence[TrainConfig], parameters: Sequence[Tensor]) -> Tensor | None:
    """Returns the largest norm of each trial's gradient, (K,); None where no trial has one."""
    limits = [config.clip_norm for config in configs]
    return torch.tensor(limits, dtype=parameters[0].dtype, device=parameters[0].device) if any(limits) else None


def _rule(config: TrainConfig) -> str:
    """Returns the rule of the moves: adam for adamw too, whose decay is applied apart from it."""
    return "adam" if config.optimizer == "adamw" else config.optimizer


def _per_trial(values: Sequence[float], parameters: Sequence[Tensor]) -> list[Tensor]:
    """Returns one number per trial, (K, 1, ...), in a shape that multiplies each parameter."""
    return [_shaped(torch.tensor(values, device=parameter.device), parameter) for parameter in parameters]


def _shaped(numbers: Tensor, values: Tensor) -> Tensor:
    """Returns one number per trial, (K,), in a shape that multiplies stacked values (K, ...)."""
    return numbers.view(-1, *[1] * (values.dim() - 1))


def _part(value: Tensor, trials: Any) -> Tensor:
    """Returns some trials' part of a moment; a single number, as a step count, belongs to all."""
    return value[trials] if value.dim() else value
