"""What is opened as an image, and what is made of it, in a data set and in `hpo predict` alike."""

from __future__ import annotations

import os
import signal
import struct
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.data.dataset import load_dataset
from trainers.data.images import pictures


class TooLong(BaseException):
    """No Exception, which those who read damaged files catch."""


@pytest.fixture(autouse=True)
def _in_time() -> Iterator[None]:
    """Whoever waits for a FIFO's writer is interrupted."""

    def interrupt(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def said_of(tmp_path: Path, make: Callable[[Path], object], name: str = "9_1.png") -> tuple[str, str]:
    """What a data set says, and what predict says, of a file that `make` makes among good ones."""
    root = tmp_path / "set"
    for number in range(12):
        save(root / "train" / f"{number}_{number % 2}.png", Image.new("L", (8, 6), number))
    make(root / "train" / name)
    said = []
    for read in (
        lambda: load_dataset(str(root), Path("x")),
        lambda: pictures.read(root / "train" / name, (1, 6, 8), "dark"),
    ):
        with pytest.raises(ValueError, match=r"9_1\.\w+: ") as caught:
            read()
        said.append(str(caught.value))
    return said[0], said[1]


def save(path: Path, image: Image.Image, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def test_what_is_no_format_of_ours_is_opened_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Least of all by Ghostscript, which EPS reaches whatever the file is called."""
    asked: list[object] = []

    def ghostscript(*args: object, **kwargs: object) -> Image.Image:
        asked.append(args)
        return Image.new("RGB", (8, 6))

    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", ghostscript)
    eps = BytesIO()
    Image.new("RGB", (8, 6)).save(eps, "EPS")
    for said in said_of(tmp_path, lambda path: path.write_bytes(eps.getvalue())):
        assert "it is not a PNG, JPEG, BMP, GIF, TIFF or WEBP image" in said
    assert asked == []


@pytest.mark.parametrize("width", [10_000, 20_000])
def test_too_many_pixels_are_refused_by_the_head_without_a_warning(
    width: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def claim(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[16:24] = struct.pack(">II", width, 9000)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        path.write_bytes(data)

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for said in said_of(tmp_path, claim):
            assert f"it has {width * 9000:,} pixels, more than the 89,478,485 allowed" in said
    assert not seen and capfd.readouterr() == ("", "")


def test_more_bytes_than_any_picture_has_are_not_read(tmp_path: Path) -> None:
    def sparse(path: Path) -> None:
        os.truncate(path, 400_000_000)

    for said in said_of(tmp_path, sparse):
        assert "it has 400,000,000 bytes, more than the 357,913,940 allowed" in said


@pytest.mark.skipif(sys.platform == "win32", reason="needs FIFOs")
@pytest.mark.parametrize("kind", ["fifo", "link to a fifo", "link to a device"])
def test_what_is_no_plain_file_is_neither_waited_for_nor_read(kind: str, tmp_path: Path) -> None:
    def make(path: Path) -> None:
        path.unlink()
        os.mkfifo(path if kind == "fifo" else tmp_path / "fifo")
        if kind != "fifo":
            path.symlink_to("/dev/zero" if kind == "link to a device" else tmp_path / "fifo")

    for said in said_of(tmp_path, make):
        assert "it is not a regular file" in said


@pytest.mark.skipif(sys.platform == "win32", reason="needs FIFOs")
def test_a_fifo_is_no_tar(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tar")
    with pytest.raises(
        ValueError, match=r"a\.tar: is not a readable folder, \.tar or \.zip \(it is not a regular file\)"
    ):
        load_dataset(str(tmp_path / "a.tar"), Path("x"))


def test_a_link_to_a_plain_file_is_that_file_and_to_nothing_is_none(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for number in range(12):
        kept = save(tmp_path / "kept" / f"{number}.png", Image.new("L", (8, 6), number))
        (root / "train").mkdir(parents=True, exist_ok=True)
        (root / "train" / f"{number}_{number % 2}.png").symlink_to(kept)
    assert len(load_dataset(str(root), Path("x")).test) == 2
    (root / "train" / "99_1.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(ValueError, match=r"train/99_1\.png: cannot be read as an image \(there is no such file\)"):
        load_dataset(str(root), Path("x"))


def corner() -> np.ndarray:
    """A bright corner on black, 24x16, which every turn and mirroring moves."""
    pixels = np.zeros((16, 24), np.uint8)
    pixels[:5, :9] = 200
    pixels[0, :] = pixels[:, 0] = 0
    return pixels


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def layered(ink: int, dtype: type = np.uint8) -> Image.Image:
    """Ink where the corner is, on nothing of the same colour."""
    layers = np.full((16, 24, 4), ink, dtype)
    layers[..., 3] = np.where(corner() > 0, 255, 0)
    return Image.fromarray(layers)


def behind_the_pixels(path: Path) -> None:
    """A PNG whose EXIF stands after its pixels."""
    data = save(path, Image.fromarray(corner())).read_bytes()
    chunk = b"eXIf" + turned(6).tobytes().removeprefix(b"Exif\0\0")
    whole = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(data[:-12] + whole + data[-12:])


def damaged_exif(path: Path) -> None:
    save(path, Image.fromarray(corner()), exif=b"Exif\0\0II*\0\xff\xff\xff\xff nothing")


KINDS: dict[str, tuple[Callable[[Path], object], np.ndarray]] = {
    **{
        f"turned {n}": (lambda path, n=n: save(path, Image.fromarray(corner()), exif=turned(n)), pixels)
        for n, pixels in {
            1: corner(),
            2: corner()[:, ::-1],
            3: corner()[::-1, ::-1],
            4: corner()[::-1],
            5: corner().T,
            6: np.rot90(corner(), -1),
            7: corner()[::-1, ::-1].T,
            8: np.rot90(corner()),
        }.items()
    },
    "turned behind the pixels": (behind_the_pixels, np.rot90(corner(), -1)),
    "damaged EXIF": (damaged_exif, corner()),
    "black ink on nothing": (lambda path: save(path, layered(0)), np.where(corner() > 0, 0, 255)),
    "white ink on nothing": (lambda path: save(path, layered(255)), np.where(corner() > 0, 255, 0)),
    "half a layer": (
        lambda path: save(path, Image.merge("LA", [Image.new("L", (24, 16), 255), Image.fromarray(corner())])),
        corner(),
    ),
    "16 bits": (lambda path: save(path, Image.fromarray(corner().astype(np.uint16) * 257)), corner()),
    "16 bits, turned": (
        lambda path: save(path, Image.fromarray(corner().astype(np.uint16) * 257), exif=turned(8)),
        np.rot90(corner()),
    ),
    "in colour": (lambda path: save(path, Image.fromarray(corner()).convert("RGB")), corner()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_training_sees_what_predict_sees(kind: str, tmp_path: Path) -> None:
    make, expected = KINDS[kind]
    root = tmp_path / "set"
    for number in range(12):
        (root / "train").mkdir(parents=True, exist_ok=True)
        make(root / "train" / f"{number}_{number % 2}.png")
    data = load_dataset(str(root), Path("x"), mean=0.0, std=1.0)
    channels = 3 if kind == "in colour" or "ink" in kind else 1
    assert data.input_shape == (channels, *expected.shape)
    seen = pictures.read(root / "train" / "0_0.png", data.input_shape, "mixed", "no").pixels
    assert torch.allclose(data.training.train.at(torch.tensor([0]))[0], seen, atol=1e-6)
    assert np.abs((255 * seen[0]).round().numpy() - expected).max() <= 1


def test_a_large_picture_is_made_plain_in_parts_as_in_one(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (700, 30), np.uint16)
    save(tmp_path / "deep.png", Image.fromarray(values))
    seen = pictures.read(tmp_path / "deep.png", (1, 700, 30), "mixed", "no").pixels
    assert torch.equal((255 * seen[0]).round(), torch.from_numpy((values / 65535 * 255).round()).float())


def test_all_shapes_of_jpeg_are_read(tmp_path: Path) -> None:
    """A telephone's may hold several pictures, of which the first counts."""
    first = Image.fromarray(corner()).convert("RGB")
    save(tmp_path / "a.jpg", first, format="MPO", save_all=True, append_images=[first])
    with Image.open(tmp_path / "a.jpg") as opened:
        assert opened.format == "MPO"
    assert pictures.read(tmp_path / "a.jpg", (3, 16, 24), "mixed").pixels.max() > 0.7


def test_grey_stays_grey_where_all_are(tmp_path: Path) -> None:
    root = tmp_path / "set"
    modes = ["1", "L", "LA", "I;16"]
    for number in range(12):
        deep = Image.fromarray(np.full((6, 8), 257 * number, np.uint16))
        image = deep if number % 4 == 3 else Image.new(modes[number % 4], (8, 6), 1)
        save(root / "train" / f"{number}_{number % 2}.png", image)
    data = load_dataset(str(root), Path("x"))
    assert data.input_shape == (1, 6, 8)
    assert data.training.train.images.dtype == torch.uint8
    save(root / "train" / "4_0.png", Image.new("RGB", (8, 6)))
    assert load_dataset(str(root), Path("x")).input_shape == (3, 6, 8)
