"""Photos of all sizes and kinds, as users have them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.helpers.photos import NAMES, folder_of_photos
from trainers.data.dataset import Dataset, load_dataset
from trainers.data.images import image_file, pictures
from trainers.data.images.resizing import least_size
from trainers.data.reading import RawSplit, ReadOptions
from trainers.data.sources import folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of_photos(tmp_path_factory.mktemp("photos") / "set", is_strange=True)


def load(path: Path, **options: object) -> Dataset:
    return load_dataset(str(path), Path("x"), options=ReadOptions(**options))  # type: ignore[arg-type]


def whole(split: RawSplit) -> Tensor:
    return torch.from_numpy(split.images[split.all_rows()])


def test_broken_photos_are_all_named_at_once(photos: Path) -> None:
    expected = (
        r"2 images cannot be read: train/apple/broken\.jpg, train/bäume und büsche/cut\.jpg; --skip-broken leaves"
    )
    with pytest.raises(ValueError, match=expected):
        load(photos)


def test_broken_photos_are_left_out_and_said(photos: Path) -> None:
    data = load(photos, skip_broken=True)
    assert data.classes == tuple(sorted(NAMES)) and data.input_shape[0] == 3
    assert data.skipped == ("train/apple/broken.jpg", "train/bäume und büsche/cut.jpg")
    assert "2 images cannot be read and are left out: train/apple/broken.jpg" in data.notice
    assert "pixels; all are scaled to " in data.notice and "(crop), see --image-size" in data.notice


@pytest.mark.parametrize("how", ["crop", "pad", "squash"])
def test_training_sees_what_predict_sees(how: str, photos: Path) -> None:
    source = folder.read(photos, ReadOptions(size=(40, 56), resize=how, skip_broken=True))
    files = sorted(
        (file for name in NAMES for file in (photos / name).glob("photo *")),
        key=lambda file: file.relative_to(photos).parts,
    )
    images = whole(source.train)
    assert images.shape == (len(files), 40, 56, 3)
    for row in range(0, len(files), 3):
        seen = pictures.read(files[row], (3, 40, 56), "mixed", "auto", how).pixels
        assert torch.equal((255 * seen).round().byte().permute(1, 2, 0), images[row])


def test_a_photo_that_exif_turns_is_right_side_up(photos: Path) -> None:
    """The bar of each class is at its place, in every kind of file."""
    source = folder.read(photos, ReadOptions(size=(48, 48), resize="squash", skip_broken=True))
    light = whole(source.train).float().mean(3)
    left, top = light[:, 20:, :8].mean((1, 2)), light[:, :8, 20:].mean((1, 2))
    for label, name in enumerate(source.classes):
        of_class = torch.from_numpy(source.train.labels) == label
        is_left = NAMES.index(name) % 2 == 0
        assert ((left > top) == is_left)[of_class].all(), name


def test_sizes_that_are_asked_for(photos: Path) -> None:
    data = load(photos, size=(24, 32), skip_broken=True)
    assert data.input_shape == (3, 24, 32) and "scaled" not in data.notice
    assert load(photos, size=(24, 32), resize="pad", skip_broken=True).hashes != data.hashes


def test_a_named_set_is_scaled_too() -> None:
    plain, scaled = load(Path("digits")), load(Path("digits"), size=(32, 32))
    assert scaled.input_shape == (1, 32, 32) and scaled.hashes != plain.hashes
    assert load(Path("digits"), size=(28, 28)).hashes == plain.hashes


def test_progress_is_told(photos: Path) -> None:
    told: list[tuple[int, int]] = []
    load(photos, skip_broken=True, watch=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == list(range(1, len(told) + 1)) and told[-1][0] == told[-1][1]


def test_a_large_jpeg_is_decoded_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.linear_gradient("L").resize((1600, 1200)).convert("RGB").save(tmp_path / "a.jpg")
    sizes = []
    upright = image_file._upright
    monkeypatch.setattr(image_file, "_upright", lambda image: (sizes.append(image.size), upright(image))[1])
    small = image_file.picture(tmp_path / "a.jpg", (100, 100), "crop")
    assert small.size == (200, 150) and sizes == [(200, 150)]
    assert image_file.picture(tmp_path / "a.jpg").size == (1600, 1200)


@pytest.mark.parametrize(("how", "expected"), [("crop", (133, 100)), ("squash", (133, 100)), ("pad", (100, 75))])
def test_what_is_enough_for_a_size(how: str, expected: tuple[int, int]) -> None:
    assert least_size((1600, 1200), (100, 100), how) == expected
    assert least_size((50, 40), (100, 100), how) == (50, 40)
