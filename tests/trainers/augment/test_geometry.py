from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import rotate as torchvisions

from trainers.augment.geometry import crop, flip, move, rotate, rotate_crop, shift, zoom

BLACK = torch.tensor([-0.5])


def images(count: int = 4, height: int = 28, width: int = 28) -> torch.Tensor:
    """Smooth pictures with a black frame."""
    noise = torch.rand(count, 1, height // 4, width // 4, generator=torch.Generator().manual_seed(0))
    smooth = F.interpolate(noise, size=(height - 8, width - 8), mode="bilinear")
    return F.pad(smooth, (4, 4, 4, 4), value=-0.5)


def test_no_angle_changes_nothing() -> None:
    before = images(4, 28, 20)
    assert torch.allclose(rotate(before, torch.zeros(4), BLACK), before, atol=1e-6)


def test_a_quarter_turn_is_counter_clockwise() -> None:
    before = images()
    turned = rotate(before, torch.full((4,), math.pi / 2), BLACK)
    assert torch.allclose(turned, torch.rot90(before, 1, (2, 3)), atol=1e-6)


def test_every_image_has_its_own_angle() -> None:
    before = images()
    angles = torch.tensor([0.0, math.pi, 0.0, math.pi])
    expected = torch.stack([x if a == 0 else x.flip(1, 2) for x, a in zip(before, angles, strict=True)])
    assert torch.allclose(rotate(before, angles, BLACK), expected, atol=1e-6)


def test_a_half_turn_of_an_image_that_is_not_square_keeps_it_whole() -> None:
    before = images(2, 28, 20)
    assert torch.allclose(rotate(before, torch.full((2,), math.pi), BLACK), before.flip(2, 3), atol=1e-6)


def test_a_small_angle_is_torchvisions() -> None:
    before = images(2)
    theirs = torchvisions(before, 12.0, interpolation=InterpolationMode.NEAREST, fill=[-0.5])
    ours = rotate(before, torch.full((2,), math.radians(12)), BLACK)
    assert (ours - theirs).abs().gt(1e-6).double().mean() < 0.01  # ties of rounding apart


def test_a_crop_is_the_middle_22_pixels_scaled_back() -> None:
    before = images()
    expected = F.interpolate(before[:, :, 3:25, 3:25], size=(28, 28), mode="bilinear", align_corners=False)
    assert torch.equal(crop(before), expected) and crop(images(1, 28, 20)).shape == (1, 1, 28, 20)


def test_what_a_rotation_uncovers_is_black() -> None:
    turned = rotate(torch.ones(1, 1, 28, 28), torch.tensor([math.pi / 4]), BLACK)
    assert turned[0, 0, 0, 0] == -0.5 and turned[0, 0, 14, 14] == 1


def test_angles_lie_within_15_degrees_and_one_in_ten_is_cropped(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = {}

    def note(images: torch.Tensor, angles: torch.Tensor, black: torch.Tensor) -> torch.Tensor:
        drawn.update(images=images, angles=angles)
        return images

    monkeypatch.setattr("trainers.augment.geometry.rotate", note)
    frame = F.pad(torch.zeros(4000, 1, 22, 22), (3, 3, 3, 3), value=1.0)  # a crop takes the frame away
    rotate_crop(frame, BLACK, torch.Generator().manual_seed(0))
    degrees = drawn["angles"].rad2deg()
    assert -15 <= degrees.min() < -14 and 14 < degrees.max() <= 15 and abs(degrees.mean()) < 0.5
    assert 0.08 < (drawn["images"].amax((1, 2, 3)) == 0).double().mean() < 0.12


def test_draws_are_the_generators() -> None:
    first, second = (rotate_crop(images(), BLACK, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second) and not torch.equal(first, images())


def moved_by_hand(image: torch.Tensor, down: int, right: int, black: torch.Tensor) -> torch.Tensor:
    _channels, height, width = image.shape
    result = black.view(-1, 1, 1).repeat(1, height, width)
    for y in range(height):
        for x in range(width):
            if 0 <= y - down < height and 0 <= x - right < width:
                result[:, y, x] = image[:, y - down, x - right]
    return result


def test_each_image_moves_by_its_own_pixels_and_leaves_black() -> None:
    moves = [(down, right) for down in range(-2, 3) for right in range(-2, 3)]
    before, black = torch.rand(len(moves), 3, 7, 6), torch.tensor([-0.5, -1.0, -1.5])
    down, right = torch.tensor(moves).unbind(1)
    expected = torch.stack([moved_by_hand(image, *by, black) for image, by in zip(before, moves, strict=True)])
    assert torch.equal(move(before, down, right, 2, black), expected)


def test_all_moves_of_up_to_two_pixels_are_equally_likely() -> None:
    dot = torch.zeros(5000, 1, 28, 28)
    dot[:, :, 14, 14] = 1
    shifted = shift(dot, torch.zeros(1), torch.Generator().manual_seed(0))
    assert (shifted.sum((1, 2, 3)) == 1).all()
    counts = shifted.sum((0, 1))[12:17, 12:17]
    assert counts.min() > 140 and counts.max() < 260  # 200 on average


def test_every_second_image_is_mirrored() -> None:
    before = torch.arange(6.0).view(1, 1, 2, 3).repeat(4000, 1, 1, 1)
    after = flip(before, torch.Generator().manual_seed(0))
    flipped = (after == before.flip(3)).all(3).all(2).all(1)
    assert ((after == before).all(3).all(2).all(1) | flipped).all() and 0.47 < flipped.double().mean() < 0.53


@pytest.mark.parametrize(("side", "most"), [(8, 1), (28, 2), (32, 2)])
def test_a_shift_is_by_a_fourteenth_of_the_side_at_most(side: int, most: int) -> None:
    before, middle = torch.zeros(300, 1, side, side), side // 2
    before[:, :, middle, middle] = 1.0
    after = shift(before, torch.zeros(1), torch.Generator().manual_seed(0))
    places = [divmod(int(place), side) for place in after.flatten(1).argmax(1)]
    for axis in (0, 1):
        assert {place[axis] - middle for place in places} == set(range(-most, most + 1))


def test_a_zoom_shows_a_part_in_the_size_of_the_whole() -> None:
    ramp = torch.linspace(0, 1, 32).expand(500, 1, 32, 32)
    after = zoom(ramp, torch.zeros(1), torch.Generator().manual_seed(0))
    spans = after.amax((1, 2, 3)) - after.amin((1, 2, 3))
    assert after.shape == ramp.shape and 0.45 < spans.min() < 0.65 and spans.max() > 0.95
    assert zoom(ramp, torch.zeros(1), torch.Generator().manual_seed(0), 0.0).allclose(ramp, atol=0.16)
