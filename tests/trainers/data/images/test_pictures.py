from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.data.dataset import Dataset, SealedSplit, load_dataset
from trainers.data.images.pictures import Picture, background, read
from trainers.data.images.scaling import Scaling
from trainers.data.splits import Split, TrainingData

SHAPE = (1, 28, 28)


def digit() -> np.ndarray:
    """A bright bar on black, 28x28."""
    pixels = np.zeros((28, 28), np.uint8)
    pixels[6:22, 12:16] = 255
    return pixels


def taken(path: Path, image: Image.Image, **options: str) -> Picture:
    file = path / f"picture{options.pop('suffix', '.png')}"
    image.save(file)
    return read(file, SHAPE, options.pop("background", "dark"), **options)


def test_a_picture_of_the_right_size_is_taken_as_it_is(tmp_path: Path) -> None:
    picture = taken(tmp_path, Image.fromarray(digit()))
    assert not picture.inverted and picture.pixels.shape == (1, 28, 28)
    assert torch.equal(picture.pixels[0], torch.from_numpy(digit()).float() / 255)


def test_ink_on_paper_is_inverted_where_the_training_images_are_light_on_dark(tmp_path: Path) -> None:
    picture = taken(tmp_path, Image.fromarray(255 - digit()))
    assert picture.inverted and torch.equal(picture.pixels[0], torch.from_numpy(digit()).float() / 255)
    assert not taken(tmp_path, Image.fromarray(255 - digit()), background="bright").inverted
    assert taken(tmp_path, Image.fromarray(digit()), background="bright").inverted
    assert not taken(tmp_path, Image.fromarray(255 - digit()), background="mixed").inverted
    assert not taken(tmp_path, Image.fromarray(255 - digit()), invert="no").inverted
    assert taken(tmp_path, Image.fromarray(digit()), invert="yes").inverted


def test_what_counts_is_the_ink_against_the_paper_not_how_bright_the_paper_is(tmp_path: Path) -> None:
    grey = np.full((28, 28), 140, np.uint8)
    for ink, inverted in ((255, False), (0, True)):
        pixels = grey.copy()
        pixels[6:22, 12:16] = ink
        assert taken(tmp_path, Image.fromarray(pixels)).inverted is inverted
    assert not taken(tmp_path, Image.fromarray(grey)).inverted


def see_through() -> Image.Image:
    """Black ink on nothing."""
    layers = np.zeros((28, 28, 4), np.uint8)
    layers[..., 3] = digit()
    return Image.fromarray(layers)


MODES = {
    "RGB": lambda: Image.fromarray(digit()).convert("RGB"),
    "P": lambda: Image.fromarray(digit()).convert("P"),
    "1": lambda: Image.fromarray(digit()).convert("1"),
    "LA": lambda: Image.fromarray(digit()).convert("LA"),
    "RGBA ink": see_through,
    "I;16": lambda: Image.fromarray(digit().astype(np.uint16) * 257),
    "I": lambda: Image.fromarray(digit().astype(np.int32)),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_gives_the_same_picture(mode: str, tmp_path: Path) -> None:
    picture = taken(tmp_path, MODES[mode](), suffix=".tiff" if mode == "I" else ".png")
    assert torch.allclose(picture.pixels[0], torch.from_numpy(digit()).float() / 255, atol=0.01)
    assert picture.inverted == (mode == "RGBA ink")


def test_a_float_picture(tmp_path: Path) -> None:
    picture = taken(tmp_path, Image.fromarray(digit().astype(np.float32) / 255), suffix=".tiff")
    assert torch.allclose(picture.pixels[0], torch.from_numpy(digit()).float() / 255, atol=0.01)


@pytest.mark.parametrize("size", [(14, 14), (280, 280), (31, 90), (400, 37), (1, 1)])
def test_any_size_keeps_its_proportions(size: tuple[int, int], tmp_path: Path) -> None:
    width, height = size
    image = Image.new("L", size, 255)
    image.paste(0, (width // 4, height // 4, max(width // 4 + 1, width * 3 // 4), max(1, height * 3 // 4)))
    picture = taken(tmp_path, image)
    assert picture.pixels.shape == (1, 28, 28) and torch.isfinite(picture.pixels).all()
    if min(size) > 10:
        assert picture.inverted and picture.pixels[0, 0].max() < 0.05  # padded with its own paper, now black
        ink = (picture.pixels[0] > 0.5).nonzero()
        tall, wide = (ink.max(0).values - ink.min(0).values + 1).tolist()
        assert tall / wide == pytest.approx(height / width, rel=0.35)


def test_colour_keeps_its_channels(tmp_path: Path) -> None:
    red = np.zeros((40, 40, 3), np.uint8)
    red[..., 0] = 200
    Image.fromarray(red).save(tmp_path / "red.jpg")
    picture = read(tmp_path / "red.jpg", (3, 32, 32), "mixed")
    assert picture.pixels.shape == (3, 32, 32)
    assert picture.pixels[0].min() > 0.7 and picture.pixels[1:].max() < 0.1


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("hello")
    Image.fromarray(digit()).save(tmp_path / "b.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:60])
    for name in ("a.png", "b.png"):
        with pytest.raises(ValueError, match=f"{name}: cannot be read as a picture") as caught:
            read(tmp_path / name, SHAPE, "dark")
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.png", SHAPE, "dark")


def made(images: torch.Tensor) -> Dataset:
    split = Split((images - 0.4) / 0.2, torch.zeros(len(images), dtype=torch.int64), Scaling((0.4,), (0.2,)))
    return Dataset("x", ("0",), TrainingData(split, split), SealedSplit(split), {})


def test_the_background_of_a_data_set() -> None:
    assert background(load_dataset("digits", Path("x"))) == "dark"
    bar = torch.zeros(20, 1, 8, 8)
    bar[:, :, 3:5, 3:5] = 1
    assert background(made(bar)) == "dark" and background(made(1 - bar)) == "bright"
    assert background(made(torch.cat([bar, 1 - bar]))) == "mixed"
