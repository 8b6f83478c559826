"""Training steps without the host: on CUDA a step is captured once as a graph and then replayed.

A small network's step is some dozens of kernels of a few microseconds each, and starting each from Python takes longer
than it runs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Generator, Tensor, nn

from trainers.faults import is_out_of_memory

WARM_UP = 3  # steps before a capture, in which libraries choose their kernels and allocate what they need
_KNOWN = ("torch", "torchvision", "models")
logger = logging.getLogger(__name__)


class Steps:
    """Takes a step for each batch of an epoch.

    step: trains on the images whose indices it is given, with nothing of it decided on the host. changed: every tensor
    that it changes, by name. noise: where it draws from, beside torch's global generator. capture: whether to, which
    needs CUDA. A step that cannot be captured, because it waits for a result, say, is taken as it is.
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
        """A step for each batch, all of one shape but the last, and `after` it with its number."""
        whole = [batch for batch in batches if batch.shape == batches[0].shape]
        replay = self._replay(torch.stack(whole)) if self.capture else None
        for number, batch in enumerate(batches):
            if replay and number < len(whole):
                replay()
            else:
                self.step(batch)
            after(number)

    def _replay(self, batches: Tensor) -> Callable[[], None] | None:
        """What takes the next step of these at each call; None where it cannot be captured."""
        if self.graph is None or self.batches.shape != batches.shape:
            self.batches, self.next = batches.clone(), torch.zeros(1, dtype=torch.int64, device=batches.device)
            try:
                self.graph = self._captured()
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise  # the graph is not what there is no memory for
                logger.warning("a training step cannot be captured as a CUDA graph: %s", error)
                self.capture = False
                return None
        self.batches.copy_(batches)
        self.next.zero_()
        return self.graph.replay

    def _take_next(self) -> None:
        self.step(self.batches.index_select(0, self.next)[0])
        self.next += 1

    def _captured(self) -> torch.cuda.CUDAGraph:
        """The graph of `_take_next`; what it changes is then as it was."""
        before = {name: value.clone() for name, value in self.changed().items()}
        noise, usual = self.noise.get_state(), torch.cuda.get_rng_state()
        try:
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(WARM_UP):
                    self.step(self.batches[0])
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=aside):  # libraries keep memory for a stream: no other uses this one
                self._take_next()
            return graph
        finally:
            torch.cuda.synchronize()
            with torch.no_grad():
                for name, value in self.changed().items():
                    # What an optimizer only made in these steps begins with zeros.
                    value.copy_(before[name]) if name in before else value.zero_()
            self.noise.set_state(noise)
            torch.cuda.set_rng_state(usual)


def is_capturable(model: nn.Module) -> bool:
    """Whether all layers are of classes that are known to decide nothing on the host, which a graph would freeze:
    torch's, torchvision's and Podium's. A user's own may draw from Python's random numbers, or count its calls."""
    return all(type(module).__module__.partition(".")[0] in _KNOWN for module in model.modules())
