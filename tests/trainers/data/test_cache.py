from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hpo.__main__ import main
from tests.helpers.photos import folder_of_photos
from trainers.data import cache
from trainers.data.dataset import Dataset, load_dataset
from trainers.data.reading import MappedImages, ReadOptions
from trainers.data.sources import folder
from trainers.data.splits import TrainingData


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PODIUM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "MIN_PIXELS", 0)
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of_photos(tmp_path_factory.mktemp("photos") / "set", is_strange=True)


def load(path: Path, **options: object) -> Dataset:
    given = {"size": (24, 32), "skip_broken": True, **options}
    return load_dataset(str(path), Path("x"), options=ReadOptions(**given))  # type: ignore[arg-type]


def not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "read", lambda *_: pytest.fail("decoded again"))


def test_the_second_time_images_are_mapped(root: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = folder.read(photos, ReadOptions(size=(24, 32), skip_broken=True))
    first = load(photos)
    not_decoded(monkeypatch)
    second = load(photos)
    assert first.hashes == second.hashes and first.skipped == second.skipped == plain.skipped
    assert second.notice == f"{first.notice}; decoded images are from the cache, see hpo cache"
    for data in (first, second):
        assert data.training.train.mapped == data.training.validation.mapped != None  # noqa: E711
        assert data.classes == plain.classes and data.training.joined().train.images is data.training.train.images
    some = torch.tensor([0, 5, 2])
    assert torch.equal(first.training.train.at(some), second.training.train.at(some))


def test_it_is_what_is_decoded_without_a_cache(root: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = load(photos)
    monkeypatch.setenv("PODIUM_CACHE_GB", "0")
    plain = load(photos)
    assert plain.hashes == cached.hashes and plain.mean == cached.mean and plain.training.train.mapped is None
    some = torch.arange(len(plain.training.train))
    assert torch.equal(plain.training.train.at(some), cached.training.train.at(some))
    assert len(list(root.iterdir())) == 1


@pytest.mark.parametrize("what", ["size", "resize", "file", "time", "empty class"])
def test_whatever_changes_is_decoded_anew(what: str, root: Path, tmp_path: Path) -> None:
    photos = folder_of_photos(tmp_path / "photos")
    load(photos)
    file = next((photos / "apple").glob("*.jpg"))
    match what:
        case "size":
            load(photos, size=(24, 24))
        case "resize":
            load(photos, resize="pad")
        case "file":
            file.unlink()
            load(photos)
        case "time":
            os.utime(file, (1, 1))
            load(photos)
        case "empty class":
            (photos / "eel").mkdir()
            with pytest.raises(ValueError, match="class 'eel' is empty"):
                load(photos)
            return
    assert len(cache.entries(root)) == 2


def test_workers_of_this_machine_get_the_file_and_others_the_images(root: Path, photos: Path) -> None:
    training = load(photos).training
    near, far = training.to_arrays(), training.to_arrays(is_same_disk=False)
    assert isinstance(near.train_images, MappedImages) and near.validation_images is near.train_images
    assert isinstance(far.train_images, np.ndarray) and len(far.train_images) == len(training.train)
    every = torch.arange(len(training.validation))
    for arrays in (near, far):
        back = TrainingData.from_arrays(arrays)
        assert torch.equal(back.validation.at(every), training.validation.at(every))


def test_a_damaged_entry_is_made_again(root: Path, photos: Path) -> None:
    first = load(photos)
    (entry,) = cache.entries(root)
    os.truncate(entry.folder / "images.bin", 100)
    assert load(photos).hashes == first.hashes
    about = json.loads((entry.folder / "about.json").read_text())
    (entry.folder / "about.json").write_text(json.dumps({**about, "shape": "none"}))
    assert load(photos).hashes == first.hashes


def test_the_oldest_entries_make_room(root: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_in_use", [])  # locks of this process end with the list
    for side in (16, 17, 18):
        load(photos, size=(side, side))
        cache._in_use.clear()
    load(photos, size=(16, 16))  # used again
    cache._in_use.clear()
    needed = sum(entry.nbytes for entry in cache.entries(root))
    monkeypatch.setenv("PODIUM_CACHE_GB", str(1.1 * needed / 1e9))
    load(photos, size=(17, 18))
    assert sorted(entry.shape[1:3] for entry in cache.entries(root)) == [(16, 16), (17, 18), (18, 18)]


def test_what_is_in_use_stays(root: Path, photos: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from trainers.data import cache
cache.MIN_PIXELS = 0
from trainers.data.dataset import load_dataset
from trainers.data.reading import ReadOptions
data = load_dataset({str(photos)!r}, Path("x"), options=ReadOptions(size=(20, 20), skip_broken=True))
print("loaded", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"loaded\n"
        (entry,) = cache.entries(root)
        assert not cache.remove(entry)
        process.communicate()
    assert cache.remove(entry) and not cache.entries(root)


def test_a_data_set_larger_than_the_cache_is_decoded_into_memory(
    root: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PODIUM_CACHE_GB", "0.00001")
    assert load(photos).training.train.mapped is None and not list(root.iterdir())


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MIN_PIXELS", 0)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("PODIUM_CACHE_DIR", str(tmp_path / "file"))
    assert load(photos).training.train.mapped is None


def test_a_limit_that_is_none(root: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODIUM_CACHE_GB", "much")
    with pytest.raises(ValueError, match="PODIUM_CACHE_GB=much: must be a number of gigabytes, at least 0"):
        load(photos)


def test_the_command_shows_and_clears(
    root: Path, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_in_use", [])
    load(photos)
    cache._in_use.clear()
    assert main(["cache"]) == 0
    out = capsys.readouterr().out
    assert "of 32x24x3" in out and "1 data set, 0.0 GB of at most 20.0 GB" in out
    assert main(["cache", "--clear"]) == 0 and capsys.readouterr().out == "1 data set removed\n"
    assert main(["cache"]) == 0 and "0 data sets" in capsys.readouterr().out
