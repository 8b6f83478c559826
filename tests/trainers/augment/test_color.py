"""Each operation against torchvision's, which takes one amount for a whole batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as v2

from trainers.augment import color

AMOUNTS = (0.1, 0.7, 1.0, 1.9)


@pytest.fixture(params=[1, 3])
def pixels(request: pytest.FixtureRequest) -> Tensor:
    values = torch.randint(256, (4, request.param, 9, 8), generator=torch.Generator().manual_seed(0))
    return values / 255


PAIRS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, float], Tensor]]] = {
    "brightness": (color.brightness, v2.adjust_brightness),
    "contrast": (color.contrast, v2.adjust_contrast),
    "saturation": (color.saturation, v2.adjust_saturation),
    "sharpness": (color.sharpness, v2.adjust_sharpness),
}


@pytest.mark.parametrize("name", PAIRS)
def test_each_image_has_its_own_factor(name: str, pixels: Tensor) -> None:
    ours, theirs = PAIRS[name]
    expected = torch.cat([theirs(image[None], factor) for image, factor in zip(pixels, AMOUNTS, strict=True)])
    torch.testing.assert_close(ours(pixels, torch.tensor(AMOUNTS)), expected, atol=2e-3, rtol=0)


def test_posterized_images_have_so_many_bits(pixels: Tensor) -> None:
    bits = [1, 3, 6, 8]
    levels = (pixels * 255).round().to(torch.uint8)
    expected = torch.cat([v2.posterize(image[None], count) for image, count in zip(levels, bits, strict=True)])
    assert torch.equal((color.posterize(pixels, torch.tensor(bits)) * 255).round().to(torch.uint8), expected)


def test_solarized_images_are_inverted_from_their_threshold_on(pixels: Tensor) -> None:
    thresholds = [0.0, 0.3, 0.5, 1.0]
    expected = torch.cat([v2.solarize(image[None], at) for image, at in zip(pixels, thresholds, strict=True)])
    torch.testing.assert_close(color.solarize(pixels, torch.tensor(thresholds)), expected)


def test_jitter_keeps_the_range_and_follows_the_generator(pixels: Tensor) -> None:
    first, second = (color.jitter(pixels, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second) and not torch.equal(first, pixels)
    assert first.min() >= 0 and first.max() <= 1
    torch.testing.assert_close(color.jitter(pixels, torch.Generator().manual_seed(1), 0.0), pixels)
