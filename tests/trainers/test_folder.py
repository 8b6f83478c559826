from __future__ import annotations

import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.data import load_dataset


def image(path: Path, value: int = 100, size: tuple[int, int] = (28, 28), mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0]), value, np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    root = tmp_path / "numbered"
    for n in range(30):
        image(root / "train" / f"{n}_{n % 3}.png", 10 * n % 250)
    for n in range(6):
        image(root / "test" / f"{n}_{n % 3}.png", 40 * n)
    return root


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    root = tmp_path / "classes"
    for name in ("cat", "dog"):
        for n in range(20):
            image(root / "train" / name / f"{n}.jpg", 10 * n, mode="RGB")
    return root


def test_numbered_files(numbered: Path) -> None:
    data = load_dataset(str(numbered), Path("x"))
    assert data.classes == ("0", "1", "2") and data.input_shape == (1, 28, 28)
    assert (len(data.training.train), len(data.training.validation), len(data.test)) == (24, 6, 6)


def test_a_tar_is_read_like_a_folder_even_with_a_folder_around_it(numbered: Path, tmp_path: Path) -> None:
    for arcname, file in [(".", "a.tar"), ("mnist", "b.tar.gz")]:
        with tarfile.open(tmp_path / file, "w:gz" if file.endswith("gz") else "w") as tar:
            tar.add(numbered, arcname)
        assert load_dataset(str(tmp_path / file), Path("x")).hashes == load_dataset(str(numbered), Path("x")).hashes


def test_class_folders_in_colour_with_a_test_set_held_out(classes: Path) -> None:
    data = load_dataset(str(classes), Path("x"))
    assert data.classes == ("cat", "dog") and data.input_shape == (3, 28, 28)
    assert (len(data.training.train), len(data.training.validation), len(data.test)) == (26, 6, 8)


def expect(path: Path, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load_dataset(str(path), Path("x"))
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_an_image_that_does_not_decode(numbered: Path) -> None:
    (numbered / "train" / "99_1.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    expect(numbered, r"train/99_1\.png: does not decode")


def test_an_image_cut_short(numbered: Path) -> None:
    file = numbered / "train" / "4_1.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)).save(file)
    file.write_bytes(file.read_bytes()[:300])
    expect(numbered, r"train/4_1\.png: does not decode")


@pytest.mark.parametrize("name", ["5_x.png", "five.png", "5_.png"])
def test_a_label_that_is_no_number(numbered: Path, name: str) -> None:
    image(numbered / "train" / name)
    expect(numbered, f"train/{name}: no number for a label; files are named {{ID}}_{{Label}}.png")


def test_an_empty_class(classes: Path) -> None:
    (classes / "train" / "eel").mkdir()
    expect(classes, "class 'eel' is empty, train/eel holds no image")


def test_a_class_of_the_test_set_alone(numbered: Path) -> None:
    image(numbered / "test" / "9_7.png")
    expect(numbered, "class '7' of test/ has no image in train/")


def test_too_few_images_of_a_class(numbered: Path) -> None:
    image(numbered / "train" / "77_5.png")
    with pytest.raises(ValueError, match="class '5' has 1 training images, at least 3 are needed"):
        load_dataset(str(numbered), Path("x"))


def test_images_of_two_sizes(numbered: Path) -> None:
    image(numbered / "test" / "8_1.png", size=(30, 20))
    expect(numbered, r"test/8_1\.png: is 30x20, most images are 28x28; all must have one size")


def test_sixteen_bits_a_pixel_are_refused(numbered: Path) -> None:
    Image.fromarray(np.full((28, 28), 20_000, np.uint16)).save(numbered / "train" / "8_1.png")
    expect(numbered, r"train/8_1\.png: has more than 8 bits a pixel \(mode I;16\); convert it to 8 bits")


def test_an_image_that_claims_to_be_huge(numbered: Path) -> None:
    file = numbered / "train" / "8_1.png"
    data = bytearray(file.read_bytes() if file.exists() else (numbered / "train" / "4_1.png").read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    file.write_bytes(data)
    expect(numbered, r"train/8_1\.png: does not decode")


def test_no_images_and_no_tar(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    expect(tmp_path / "empty", "has no images in train/")
    (tmp_path / "x.tar").write_bytes(b"not a tar")
    expect(tmp_path / "x.tar", "no readable folder or .tar")
