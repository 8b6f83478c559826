"""The exponential moving average of the weights, which is evaluated and kept in their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

WARM_UP = 10  # the average is over a tenth of all steps, or nearly so, as long as the decay would take more


class WeightAverage:
    """Averages tensors over the steps: after a step, average = decay * average + (1 - decay) * value.

    In the first steps the newest value counts for more: for 10 / (9 + step), where that is larger than 1 - decay
    (polynomial decay: Shamir & Zhang, 2013). So the initial weights, which are random, have no part in the average, and
    it follows a short training too.

    values: what is averaged, by name. decays: one number; or one per trial where the values are stacked, (K, ...). With
    a decay of 0 the average is the value itself.
    """

    def __init__(self, values: Mapping[str, Tensor], decays: float | Sequence[float]) -> None:
        self.values = {name: value.detach() for name, value in values.items()}
        self.averages = {name: value.clone() for name, value in self.values.items()}
        device = next(iter(self.values.values())).device
        self.least = (1 - torch.tensor(decays, dtype=torch.float64)).to(torch.float32).to(device)
        # On the device: a CUDA graph would freeze a number of the host.
        self.steps = torch.zeros((), device=device)

    @torch.no_grad()
    def update(self) -> None:
        """Takes up the values after a step."""
        self.steps += 1
        newest = torch.maximum(self.least, WARM_UP / (self.steps + WARM_UP - 1))
        kinds = [(value.dim(), value.dtype) for value in self.values.values()]
        weights = {kind: _shaped(newest, *kind) for kind in set(kinds)}
        torch._foreach_lerp_(
            list(self.averages.values()), list(self.values.values()), [weights[kind] for kind in kinds]
        )

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Gives the network the averages within the context, and its own values back after it.

        The numbers are copied, so that the tensors stay where a CUDA graph or a flattened layer has them.
        """
        own = {name: value.clone() for name, value in self.values.items()}
        try:
            _copy(self.averages, self.values)
            yield
        finally:
            _copy(own, self.values)

    def changed(self) -> dict[str, Tensor]:
        """Returns the tensors that `update` changes, by name."""
        return {"average.steps": self.steps, **{f"average.{name}": value for name, value in self.averages.items()}}

    def keep(self, trials: Sequence[int], values: Mapping[str, Tensor]) -> None:
        """Goes on with these trials of stacked values; `values` are of these only."""
        self.values = {name: values[name].detach() for name in self.values}
        index = torch.tensor(trials, device=self.least.device)
        self.least = self.least[index]
        self.averages = {name: average[index] for name, average in self.averages.items()}

    def state(self, trial: int | None = None) -> dict[str, Tensor]:
        """Returns the averages, of one trial of stacked ones: copies on the CPU."""
        averages = self.averages if trial is None else {name: value[trial] for name, value in self.averages.items()}
        return {name: value.to("cpu", copy=True) for name, value in averages.items()}

    def save(self, trial: int | None = None) -> dict[str, Any]:
        """Returns what `load` needs, for one trial of stacked values."""
        return {"steps": int(self.steps), "averages": self.state(trial)}

    def load(self, saved: Mapping[str, Any] | None) -> None:
        """Goes on from what `save` returned; begins anew, from the present values, where that is None."""
        _copy(self.values if saved is None else saved["averages"], self.averages)
        self.steps.fill_(0 if saved is None else saved["steps"])

    def load_trials(self, saved: Sequence[Mapping[str, Any] | None]) -> None:
        """Does what `load` does for each trial of stacked values; the steps are those of all."""
        self.load(None)
        for trial, one in enumerate(saved):
            if one is not None:
                _copy(one["averages"], {name: average[trial] for name, average in self.averages.items()})
                self.steps.fill_(one["steps"])


def averaged_values(model: nn.Module) -> dict[str, Tensor]:
    """Returns what training changes in a network: its trained weights, and its buffers of floating point.

    BatchNorm's running statistics are averaged with the weights, as timm does and torch's AveragedModel with
    use_buffers=True: those of the newest weights would not fit the averaged ones, and measuring them anew would cost a
    pass over the training images. Counters stay the network's own.
    """
    trained = {name: value for name, value in model.named_parameters(remove_duplicate=False) if value.requires_grad}
    return {**trained, **{name: value for name, value in model.named_buffers() if value.is_floating_point()}}


def _shaped(weights: Tensor, dimensions: int, dtype: torch.dtype) -> Tensor:
    """Returns the weights, one or (K,), in a shape and type that multiplies values of so many dimensions."""
    ones = (1,) * (dimensions - 1) if weights.dim() else ()
    return weights.to(dtype).view(weights.shape + ones)


@torch.no_grad()
def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    for name, value in target.items():
        value.copy_(source[name])
