"""The augmentations by name, one after the other: `shift+flip+erase`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from trainers.augment import automatic, color, geometry
from trainers.augment.erase import erase
from trainers.config import AUGMENTATIONS, MIXTURES, augmentation_parts
from trainers.data.images.scaling import Scaling

Augmentation = Callable[[Tensor], Tensor]
_Policy = Callable[[Tensor, Tensor, Generator, float], Tensor]

# Each takes normalized images, the value of black per channel, the generator and the strength.
_OF_NORMALIZED: dict[str, _Policy] = {
    "rotate-crop": geometry.rotate_crop,
    "shift": lambda x, black, generator, strength: geometry.shift(x, black, generator, geometry.MAX_SHIFT * strength),
    "crop": lambda x, black, generator, strength: geometry.shift(
        x, black, generator, geometry.MAX_CROP_SHIFT * strength
    ),
    "flip": lambda x, _, generator, __: geometry.flip(x, generator),
    "zoom": geometry.zoom,
    "erase": lambda x, _, generator, strength: erase(x, generator, strength),
}
# Each takes pixels in [0, 1], the generator and the strength.
_OF_PIXELS: dict[str, Callable[[Tensor, Generator, float], Tensor]] = {
    "color": color.jitter,
    "trivial": automatic.trivial_augment,
    "rand": automatic.rand_augment,
}


def make_augmentation(name: str, scaling: Scaling, generator: Generator, strength: float = 1.0) -> Augmentation | None:
    """Returns the augmentation called `name`, None for "none"; raises ValueError for another name.

    The mixtures in the name are no part of it: trainers/augment/mixing.py has them.

    name: one of `AUGMENTATIONS`, or several joined by "+", applied in this order. scaling: of the images.
    generator: on the images' device. strength: 1 is the amount that the sources give; see each function.
    """
    parts = [part for part in augmentation_parts(name) if part not in MIXTURES]
    steps = [_step(part, scaling, generator, strength) for part in parts]
    return _in_turn(steps) if steps else None


def _step(part: str, scaling: Scaling, generator: Generator, strength: float) -> Augmentation:
    if part in _OF_NORMALIZED:
        black = torch.tensor(scaling.black, device=generator.device)
        policy = _OF_NORMALIZED[part]
        return lambda images: policy(images, black, generator, strength)
    if part in _OF_PIXELS:
        change, shape = _OF_PIXELS[part], (1, -1, 1, 1)
        mean, std = (torch.tensor(v, device=generator.device).view(shape) for v in (scaling.mean, scaling.std))
        return lambda images: (change((images * std + mean).clamp(0, 1), generator, strength) - mean) / std
    raise ValueError(f"augment {part!r}: choose from {', '.join(AUGMENTATIONS)}")


def _in_turn(steps: list[Augmentation]) -> Augmentation:
    def apply(images: Tensor) -> Tensor:
        for step in steps:
            images = step(images)
        return images

    return apply
