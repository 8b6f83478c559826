from __future__ import annotations

import os
import tarfile
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.data.dataset import load_dataset
from trainers.data.reading import ReadOptions
from trainers.data.sources import folder


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
    expect(numbered, r"train/99_1\.png: cannot be read as an image")


def test_an_image_cut_short(numbered: Path) -> None:
    file = numbered / "train" / "4_1.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)).save(file)
    file.write_bytes(file.read_bytes()[:300])
    expect(numbered, r"train/4_1\.png: cannot be read as an image")


@pytest.mark.parametrize("name", ["5_x.png", "five.png", "5_.png"])
def test_a_label_that_is_no_number(numbered: Path, name: str) -> None:
    image(numbered / "train" / name)
    expect(numbered, f"train/{name}: the label is not a number; name files {{ID}}_{{Label}}.png")


def test_an_empty_class(classes: Path) -> None:
    (classes / "train" / "eel").mkdir()
    expect(classes, "class 'eel' is empty: train/eel has no images")


def test_a_class_of_the_test_set_alone(numbered: Path) -> None:
    image(numbered / "test" / "9_7.png")
    expect(numbered, "class '7' of test/ has no images in train/")


def test_too_few_images_of_a_class(numbered: Path) -> None:
    image(numbered / "train" / "77_5.png")
    with pytest.raises(ValueError, match="class '5' has 1 training images, at least 3 are needed"):
        load_dataset(str(numbered), Path("x"))


def test_images_of_two_sizes_get_one(numbered: Path) -> None:
    image(numbered / "test" / "8_1.png", size=(30, 20))
    data = load_dataset(str(numbered), Path("x"))
    assert data.input_shape == (1, 28, 28) and len(data.test) == 7
    assert data.notice == "images have 30x20 to 28x28 pixels; all are scaled to 28x28 (crop), see --image-size"


def test_an_image_that_claims_to_be_huge(numbered: Path) -> None:
    file = numbered / "train" / "8_1.png"
    data = bytearray(file.read_bytes() if file.exists() else (numbered / "train" / "4_1.png").read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    file.write_bytes(data)
    expect(
        numbered,
        r"train/8_1\.png: cannot be read as an image \(it has 3,600,000,000 pixels, more than the 89,478,485 allowed\)",
    )


def test_no_images_and_no_tar(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    expect(tmp_path / "empty", "has no images in train/, and no folders of images, one for each class")
    (tmp_path / "x.tar").write_bytes(b"not a tar")
    expect(tmp_path / "x.tar", "is not a readable folder, .tar or .zip")


def noise(root: Path, count: int = 40, side: int = 160) -> int:
    """Images that no format makes smaller; returns the bytes of all their pixels."""
    rng = np.random.default_rng(0)
    (root / "train").mkdir(parents=True)
    for n in range(count):
        Image.fromarray(rng.integers(0, 256, (side, side), np.uint8)).save(root / "train" / f"{n}_{n % 2}.png")
    return count * side * side


def peak(path: Path) -> int:
    """Bytes of memory that Python and numpy take at most to read the data set's pixels."""
    tracemalloc.start()
    try:
        folder.read(path, ReadOptions())
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("form", ["folder", "a.tar", "a.tar.gz"])
def test_pixels_lie_in_memory_once_and_files_one_by_one(form: str, tmp_path: Path) -> None:
    pixels = noise(tmp_path / "folder")
    if form != "folder":
        with tarfile.open(tmp_path / form, "w:gz" if form.endswith("gz") else "w") as tar:
            tar.add(tmp_path / "folder", ".")
    assert pixels <= peak(tmp_path / form) < 1.5 * pixels


def test_what_is_no_image_is_not_read(tmp_path: Path) -> None:
    noise(tmp_path / "a", 6, 8)
    os.truncate(os.open(tmp_path / "a" / "train" / "weights.bin", os.O_CREAT | os.O_RDWR), 60_000_000)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "a", "a")
    (tmp_path / "a" / "train" / "weights.bin").rename(tmp_path / "a" / "train" / ".0_1.png")
    for path in (tmp_path / "a", tmp_path / "a.tar.gz"):
        assert peak(path) < 2_000_000


def member(tar: tarfile.TarFile, name: str, **settings: object) -> None:
    info = tarfile.TarInfo(name)
    for key, value in settings.items():
        setattr(info, key, value)
    tar.addfile(info)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"type": tarfile.FIFOTYPE}, "it is a link or a device, not a regular file"),
        ({"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "it is a link or a device, not a regular file"),
        ({"size": 10**10}, "it has 10,000,000,000 bytes, more than the 357,913,940 allowed"),
        ({"size": 10**6}, "unexpected end of data"),
    ],
)
def test_what_a_tar_must_not_hold(settings: dict[str, object], reason: str, numbered: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(numbered, ".")
        member(tar, "train/8_1.png", **settings)
    expect(tmp_path / "a.tar", rf"train/8_1\.png: cannot be read as an image \({reason}\)")


@pytest.mark.parametrize("at", range(100, 1600, 200))
def test_a_tar_with_damaged_compression(at: int, numbered: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(numbered, ".")
    data = bytearray((tmp_path / "a.tar.gz").read_bytes())
    data[at : at + 200] = bytes(200)
    (tmp_path / "a.tar.gz").write_bytes(data)
    expect(tmp_path / "a.tar.gz", "is not a readable folder, .tar or .zip|cannot be read as an image")


def test_a_tar_with_a_damaged_header_in_its_middle(numbered: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(numbered, ".")
    with tarfile.open(tmp_path / "a.tar") as tar:
        at = tar.getmembers()[-4].offset
    data = bytearray((tmp_path / "a.tar").read_bytes())
    data[at + 20] ^= 1
    (tmp_path / "a.tar").write_bytes(data)
    expect(tmp_path / "a.tar", f"is not a readable folder, .tar or .zip .damaged at byte {at:,}")


def test_images_that_do_not_fit_in_memory_are_refused_before_any_is_decoded(
    numbered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.data.free_memory.available_bytes", lambda: 36 * 28 * 28 * 2 - 1)
    monkeypatch.setattr("trainers.data.sources.folder.picture", lambda *_: pytest.fail("decoded"))
    need = r"36 images of 28x28x1 need 0\.0 GB of memory, only 0\.0 GB are free; use smaller images"
    expect(numbered, need)
    monkeypatch.undo()
    monkeypatch.setattr("trainers.data.free_memory.available_bytes", lambda: 36 * 28 * 28 * 2)
    assert load_dataset(str(numbered), Path("x")).notice == ""


def test_much_memory_is_said(numbered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainers.data.free_memory.NOTICE_BYTES", 50_000)
    notice = load_dataset(str(numbered), Path("x")).notice
    assert notice == "36 images of 28x28x1 take 0.0 GB of memory; smaller images train faster"


def test_images_that_exif_turns_apart_get_one_size(numbered: Path) -> None:
    for file in [*numbered.glob("train/*"), *numbered.glob("test/*")]:
        image(file, size=(28, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (28, 20)).save(numbered / "train" / "8_2.png", exif=exif)
    data = load_dataset(str(numbered), Path("x"))
    assert data.input_shape == (1, 20, 20)
    assert data.notice == "images have 20x28 to 28x20 pixels; all are scaled to 20x20 (crop), see --image-size"


def test_an_image_that_changes_as_it_is_read(numbered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(*_: object) -> Image.Image:
        return Image.new("L", (4, 4))

    monkeypatch.setattr("trainers.data.sources.folder.picture", change)
    expect(numbered, r"test/0_0\.png: changed while it was being read")
