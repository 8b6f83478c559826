from __future__ import annotations

import shutil
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.data.dataset import Dataset, load_dataset
from trainers.data.sources.layout import Layout, parts_of


def images(folder: Path, count: int = 10, value: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        Image.fromarray(np.full((8, 8), value + n, np.uint8)).save(folder / f"{n}.png")


def classes(root: Path, count: int = 10, value: int = 0) -> Path:
    for at, name in enumerate(("cat", "dog")):
        images(root / name, count, value + 20 * at)
    return root


def load(path: Path) -> Dataset:
    return load_dataset(str(path), Path("x"))


def sizes(data: Dataset) -> tuple[int, int, int]:
    return len(data.training.train), len(data.training.validation), len(data.test)


def test_class_folders_alone(tmp_path: Path) -> None:
    images(tmp_path / "a" / "cat" / "indoors", 5, 100)
    data = load(classes(tmp_path / "a"))
    assert data.classes == ("cat", "dog") and sum(sizes(data)) == 25
    (tmp_path / "a" / "readme.png").write_bytes(b"no image")  # belongs to no class
    assert load(tmp_path / "a").hashes == data.hashes


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_validation_split_of_its_own(name: str, tmp_path: Path) -> None:
    classes(tmp_path / "train")
    classes(tmp_path / name, 3, 100)
    classes(tmp_path / "test", 4, 200)
    data = load(tmp_path)
    assert sizes(data) == (20, 6, 8)
    assert data.training.validation.images[data.training.validation.rows].min() == 100


def test_a_validation_split_and_no_test_set(tmp_path: Path) -> None:
    classes(tmp_path / "training")
    classes(tmp_path / "val", 3, 100)
    assert sizes(load(tmp_path)) == (16, 6, 4)


@pytest.mark.parametrize("inside", ["", "wrapped/", "wrapped/train/"])
def test_a_zip_is_read_like_a_folder(inside: str, tmp_path: Path) -> None:
    classes(tmp_path / "a")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((tmp_path / "a").rglob("*.png")):
            archive.write(file, inside + file.relative_to(tmp_path / "a").as_posix())
        archive.writestr("__MACOSX/cat/._0.png", b"resource fork")
        archive.writestr(inside + "cat/.hidden.png", b"hidden")
    assert load(tmp_path / "a.zip").hashes == load(tmp_path / "a").hashes


@pytest.mark.parametrize("at", [30, 60, 200])
def test_a_damaged_zip_is_one_line(at: int, tmp_path: Path) -> None:
    classes(tmp_path / "a")
    made = Path(shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "a"))
    content = bytearray(made.read_bytes())
    made.write_bytes(content[:-at])
    with pytest.raises(ValueError, match=r"--dataset .*a\.zip: is not a readable folder, \.tar or \.zip") as caught:
        load(made)
    assert "\n" not in str(caught.value)


def test_a_zip_with_a_password(tmp_path: Path) -> None:
    classes(tmp_path / "a")
    made = Path(shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "a"))
    content = made.read_bytes().replace(b"PK\x03\x04\x14\x00\x00", b"PK\x03\x04\x14\x00\x01")
    made.write_bytes(content.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"))
    with pytest.raises(ValueError, match=r"20 images cannot be read: train/cat/0\.png, .* and 10 more; --skip-broken"):
        load(made)


WRONG = {
    "empty val": "its folder of validation images has none; fill it, or remove it",
    "class of val": "class 'eel' of validation/ has no images in train/",
    "one class": "there is only one class, 'cat'; at least two are needed",
    "two images": "class 'eel' has 2 training images, at least 3 are needed",
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_one_line(what: str, tmp_path: Path) -> None:
    classes(tmp_path / "train")
    match what:
        case "empty val":
            (tmp_path / "val" / "cat").mkdir(parents=True)
        case "class of val":
            images(classes(tmp_path / "val") / "eel")
        case "one class":
            shutil.rmtree(tmp_path / "train" / "dog")
        case "two images":
            images(tmp_path / "train" / "eel", 2)
    with pytest.raises(ValueError, match=WRONG[what]) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_letters_with_accents_have_one_form(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        images(tmp_path / form / unicodedata.normalize(form, "bär"))
        images(tmp_path / form / "cat", 10, 30)
    first, second = load(tmp_path / "NFC"), load(tmp_path / "NFD")
    assert first.classes == second.classes == ("bär", "cat") and first.hashes == second.hashes


def test_ten_to_one_keeps_an_image_of_each_class_in_each_split(tmp_path: Path) -> None:
    images(tmp_path / "cat", 50)
    images(tmp_path / "dog", 5, 100)
    data = load(tmp_path)
    for split in (data.training.train, data.training.validation, data.test.open()):
        assert set(split.labels.tolist()) == {0, 1}


def test_names() -> None:
    assert parts_of("./a//b.png") == ("a", "b.png") and parts_of("a/.b/c.png") == ()
    layout = Layout.of([("photos", "cat", "1.png"), ("photos", "dog", "2.png")])
    assert layout == Layout(has_parts=False, depth=1) and layout.place(("photos", "cat", "1.png")) == (
        "train",
        "cat/1.png",
    )
