"""CUDA graphs: a training step is captured once and then replayed without the host.

A small network's step is some dozens of kernels of a few microseconds each, and starting each of them from Python takes
longer than it runs. `python tests/benchmarks/gpu.py --only throughput` measures what that costs on a GPU.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Generator, Tensor, nn

from trainers.config import TrainConfig, augmentation_parts
from trainers.faults import is_out_of_memory
from trainers.optim.optimizer import has_capturable_optimizer

WARM_UP_STEPS = 3  # before a capture; in these, libraries choose their kernels and allocate memory
CAPTURABLE_PACKAGES = ("torch", "torchvision", "models")
AUGMENTATIONS_ON_HOST = {"trivial", "rand"}  # the host counts the images of each operation
logger = logging.getLogger(__name__)


class StepRunner:
    """Takes one optimizer step per batch, as a CUDA graph where that is possible.

    step: trains on the images with the given indices and decides nothing on the host. changed: returns every tensor
    that `step` changes, by name. noise: the generator that `step` draws from, beside torch's global one. capture:
    whether to capture a graph, which needs CUDA. A step that cannot be captured, for example because it waits for a
    result, runs as it is, with a warning in the log.
    """

    def __init__(
        self,
        step: Callable[[Tensor], None],
        changed: Callable[[], Mapping[str, Tensor]],
        noise: Generator,
        capture: bool,
    ) -> None:
        self.step, self.changed, self.noise, self.capture = step, changed, noise, capture
        self.graph: torch.cuda.CUDAGraph | None = None
        self.batches = self.next = torch.empty(0)

    def run(self, batches: Sequence[Tensor], after: Callable[[int], object]) -> None:
        """Takes a step per batch and calls `after` with its number, from 0; only the last batch may be shorter."""
        whole = [batch for batch in batches if batch.shape == batches[0].shape]
        replay = self._replay(torch.stack(whole)) if self.capture else None
        for number, batch in enumerate(batches):
            if replay and number < len(whole):
                replay()
            else:
                self.step(batch)
            after(number)

    def _replay(self, batches: Tensor) -> Callable[[], None] | None:
        """Returns what takes the next step at each call; None where the step cannot be captured."""
        if self.graph is None or self.batches.shape != batches.shape:
            self.batches, self.next = batches.clone(), torch.zeros(1, dtype=torch.int64, device=batches.device)
            try:
                self.graph = self._captured()
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise  # without a graph there would be no memory either
                logger.warning("a training step cannot be captured as a CUDA graph: %s", error)
                self.capture = False
                return None
        self.batches.copy_(batches)
        self.next.zero_()
        return self.graph.replay

    def _take_next(self) -> None:
        # The batch is chosen on the device: a graph replays the same addresses, so the host cannot pass an argument.
        self.step(self.batches.index_select(0, self.next)[0])
        self.next += 1

    def _captured(self) -> torch.cuda.CUDAGraph:
        """Captures `_take_next`; restores all tensors and generators that it changed meanwhile."""
        # Detached: a clone that autograd follows ties the parameters to the stream of now instead of the capture's.
        before = {name: value.detach().clone() for name, value in self.changed().items()}
        noise, usual = self.noise.get_state(), torch.cuda.get_rng_state()
        try:
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(WARM_UP_STEPS):
                    self._take_next()
                    self.next.zero_()
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            graph.register_generator_state(self.noise)  # a graph knows by itself only torch's global generator
            # The stream of the warm-up: libraries keep workspace memory per stream, and allocate none in a capture.
            with torch.cuda.graph(graph, stream=aside):
                self._take_next()
            return graph
        except BaseException:
            # A capture that broke off leaves the generators waiting for its end. New states wait for nothing.
            for generator in (self.noise, torch.cuda.default_generators[torch.cuda.current_device()]):
                generator.graphsafe_set_state(generator.clone_state())
            raise
        finally:
            torch.cuda.synchronize()
            with torch.no_grad():
                for name, value in self.changed().items():
                    # An optimizer's state that these steps created starts from zeros.
                    value.copy_(before[name]) if name in before else value.zero_()
            self.noise.set_state(noise)
            torch.cuda.set_rng_state(usual)


def is_capturable(model: nn.Module, config: TrainConfig) -> bool:
    """Tells whether a step of this training is known to decide nothing on the host, which a graph would freeze.

    Only the layers of torch, torchvision and Podium are: a user's own may draw Python's random numbers or count calls.
    """
    layers_are_known = all(type(part).__module__.partition(".")[0] in CAPTURABLE_PACKAGES for part in model.modules())
    is_augmented_there = AUGMENTATIONS_ON_HOST.isdisjoint(augmentation_parts(config.augment))
    return has_capturable_optimizer(config) and layers_are_known and is_augmented_there
