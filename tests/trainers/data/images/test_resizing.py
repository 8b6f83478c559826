from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from trainers.data.images.resizing import MAX_CHOSEN_SIDE, border, chosen_side, fitted


def striped() -> Image.Image:
    """60x20: red, green and blue, side by side."""
    pixels = np.zeros((20, 60, 3), np.uint8)
    for at in range(3):
        pixels[:, 20 * at : 20 * at + 20, at] = 255
    return Image.fromarray(pixels)


def test_a_crop_is_the_centre() -> None:
    middle = np.asarray(fitted(striped(), 10, 10, "crop"))
    assert middle.shape == (10, 10, 3) and (middle[2:-2, 2:-2] == (0, 255, 0)).all()


def test_a_pad_keeps_all_and_continues_the_border() -> None:
    image = Image.new("RGB", (60, 20), (9, 8, 7))
    image.paste((200, 0, 0), (20, 5, 40, 15))
    padded = np.asarray(fitted(image, 30, 30, "pad"))
    assert padded.shape == (30, 30, 3) and (padded[0] == (9, 8, 7)).all() and padded[15, 15, 0] == 200


def test_squash_gives_up_the_proportions() -> None:
    squashed = np.asarray(fitted(striped(), 9, 9, "squash"))
    assert [tuple(squashed[4, at]) for at in (1, 4, 7)] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


@pytest.mark.parametrize("how", ["crop", "pad", "squash"])
def test_an_image_of_the_size_stays_as_it_is(how: str) -> None:
    image = striped()
    assert fitted(image, 60, 20, how) is image
    assert fitted(image.convert("L"), 7, 9, how).size == (7, 9)


def test_the_side_that_suits() -> None:
    assert chosen_side([(80, 60), (100, 300), (70, 500)]) == 70
    assert chosen_side([(4000, 3000)]) == MAX_CHOSEN_SIDE


def test_the_border_is_the_median_of_the_edge() -> None:
    assert border(np.asarray(striped())).tolist() == [0, 0, 0] and border(np.full((3, 3, 1), 5)).tolist() == [5]
