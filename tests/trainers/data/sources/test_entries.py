from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import BinaryIO

import pytest

from trainers.data.sources.entries import entries


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "folder"
    (root / "train" / "cat").mkdir(parents=True)
    for name in ("train/b.png", "train/a.png", "train/cat/1.png"):
        (root / name).write_text(name)
    return root


def text(source: Path | BinaryIO) -> str:
    return source.read_text() if isinstance(source, Path) else source.read().decode()


FOUND = {
    "train": None,
    "train/a.png": "train/a.png",
    "train/b.png": "train/b.png",
    "train/cat": None,
    "train/cat/1.png": "train/cat/1.png",
}


@pytest.mark.parametrize("form", ["folder", "a.tar", "a.tar.gz", "a.tar.xz", "a.tar.bz2"])
def test_a_folder_and_every_kind_of_tar_have_the_same_entries(form: str, folder: Path, tmp_path: Path) -> None:
    if form != "folder":
        kind = form.rpartition(".")[2]
        with tarfile.open(tmp_path / form, "w" if kind == "tar" else f"w:{kind}") as tar:  # type: ignore[call-overload]
            tar.add(folder, ".")
    found = {
        each.name.removeprefix("./"): None if each.is_folder else text(each.source())
        for each in entries(tmp_path / form)
    }
    assert {name: content for name, content in found.items() if name != "."} == FOUND


def test_links_to_folders_are_not_entered(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.png").write_text("x")
    (folder / "train" / "link").symlink_to(tmp_path / "outside")
    assert not any("secret" in each.name for each in entries(folder))


@pytest.mark.parametrize("size", [700, 1500])
def test_a_tar_that_ends_too_early(size: int, folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(folder, ".")
    os.truncate(tmp_path / "a.tar", size)
    with pytest.raises(ValueError, match=r"^--dataset .*a\.tar: is not a readable folder, \.tar or \.zip \("):
        list(entries(tmp_path / "a.tar"))
