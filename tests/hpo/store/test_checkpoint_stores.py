"""One contract for all storages of checkpoints: a folder, a bucket, and the driver's folder seen from other nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.store.checkpoint_stores import (
    BucketStorage,
    CheckpointStorage,
    DriverStorage,
    FolderStorage,
    checkpoint_storage,
)


def test_a_storage_keeps_whole_files_by_name(storage: CheckpointStorage) -> None:
    assert storage.names("") == []
    storage.save("a@1.pt", {"w": torch.arange(3.0), "words": ["x"]})
    storage.save("a@1.pt", {"w": torch.arange(4.0), "words": ["y"]})
    storage.save("b@1.pt", {"w": 1})
    state = storage.load("a@1.pt")
    assert torch.equal(state["w"], torch.arange(4.0)) and state["words"] == ["y"]
    assert sorted(storage.names("")) == ["a@1.pt", "b@1.pt"] and storage.names("a@") == ["a@1.pt"]
    storage.remove("a@1.pt")
    storage.remove("a@1.pt")
    with pytest.raises(FileNotFoundError):
        storage.load("a@1.pt")
    storage.clear()
    assert storage.names("") == []
    storage.clear()


def test_where_a_storage_path_leads(tmp_path: Path) -> None:
    folder = checkpoint_storage(str(tmp_path), "run")
    assert isinstance(folder, FolderStorage) and folder.shared and folder.path == tmp_path / "run"
    bucket = checkpoint_storage("s3://key:geheim@b/x/?region=us-east-1&scheme=http", "run")
    assert isinstance(bucket, BucketStorage) and bucket.path == "b/x/run" and "geheim" not in str(bucket)
    with pytest.raises(ValueError, match="--storage-path nonsense://x: "):
        checkpoint_storage("nonsense://x", "run")


@pytest.mark.slow
@pytest.mark.usefixtures("ray_local")
def test_a_driver_that_is_gone_is_an_os_error(tmp_path: Path) -> None:
    import ray

    storage: Any = DriverStorage(FolderStorage(tmp_path))
    storage.save("a", {})
    ray.kill(storage.actor)
    with pytest.raises(OSError, match="the driver's node does not answer"):
        _save_often(storage)  # Ray kills a moment later


def _save_often(storage: Any) -> None:
    for _ in range(500):
        storage.save("a", {})


def test_what_is_not_a_checkpoint_stays_when_a_folder_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    storage = FolderStorage(tmp_path)
    storage.save("a@1.pt", {})
    storage.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
