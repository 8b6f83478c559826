"""The random generators of a trainer: given to the layers that ask for one, and restored from a checkpoint."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, cast

import numpy as np
import torch
from torch import Generator, Tensor, nn


class UsesRandomGenerator(Protocol):
    """A layer that draws random numbers from the trainer's generator instead of torch's global one."""

    def use_random_generator(self, generator: Generator) -> None:
        """Receives the generator, on the layer's device; called once, before training starts."""
        ...


def give_generator(generator: Generator, model: nn.Module) -> None:
    """Gives the generator to each layer whose class defines `use_random_generator`.

    All other layers stay as they are, whatever their attributes are called: a network with an attribute `generator`, as
    in a GAN, keeps it.
    """
    for module in model.modules():
        if callable(getattr(type(module), "use_random_generator", None)):
            cast(UsesRandomGenerator, module).use_random_generator(generator)


def restore_generator(generator: Generator, state: Tensor, seed: int, epoch: int) -> str:
    """Sets the generator to a saved state; returns a warning where that is impossible, else "".

    A state from another kind of device has another size. The generator is then seeded anew, from `seed` and `epoch`.
    """
    if state.shape == generator.get_state().shape:
        generator.set_state(state)
        return ""
    # Not the seed that the global generator has in that epoch: the two would draw the same numbers.
    generator.manual_seed(epoch_seed(seed, epoch) + 2**31)
    here = generator.device.type
    return f"the checkpoint is from another device than {here}: dropout and augmentation draw other random numbers"


def epoch_seed(seed: int, epoch: int) -> int:
    """Returns the seed of what is drawn in an epoch beside the trainer's own generators."""
    return seed * 10007 + epoch


@contextmanager
def all_seeded(seed: int) -> Iterator[None]:
    """Does as `seeded` on a CPU, also for Python's and NumPy's global generators."""
    ours, theirs = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        with seeded(seed, "cpu"):
            yield
    finally:
        random.setstate(ours)
        np.random.set_state(theirs)


@contextmanager
def seeded(seed: int, device: str) -> Iterator[None]:
    """Seeds torch's global generators within the context, and restores them after it.

    torch's initializers, and layers such as nn.Dropout in a user's network, draw from the global generators.
    """
    with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
        torch.manual_seed(seed)
        yield
