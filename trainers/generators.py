"""The generators that a trainer draws from: lent to the layers that want one, and taken up from a checkpoint."""

from __future__ import annotations

from typing import Protocol, cast

from torch import Generator, Tensor, nn


class Random(Protocol):
    """A layer that draws random numbers from the trainer's generator, and not from torch's global one.

    `use_random_generator` is called once, before the training, with a generator on the layer's device.
    """

    def use_random_generator(self, generator: Generator) -> None: ...


def lend(generator: Generator, model: nn.Module) -> None:
    """Gives the generator to the layers whose class has `Random`'s method; all others keep what they have, whatever
    their attributes are called."""
    for module in model.modules():
        if callable(getattr(type(module), "use_random_generator", None)):
            cast(Random, module).use_random_generator(generator)


def take_up(generator: Generator, state: Tensor, seed: int, epoch: int) -> str:
    """Continues from a state that was saved. One of another kind of device has another size and is of no use: then the
    generator begins anew, by the seed and the epoch. Returns a warning that says so, else an empty text."""
    if state.shape == generator.get_state().shape:
        generator.set_state(state)
        return ""
    generator.manual_seed(seed * 10007 + epoch + 2**31)  # not the numbers that the global one has in that epoch
    here = generator.device.type
    return f"its checkpoint is of another device than {here}: dropout and augmentation go on with other random numbers"
