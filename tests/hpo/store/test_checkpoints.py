"""One contract for all places of checkpoints: a folder, a bucket, and the driver's folder seen from other nodes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.store.checkpoints import BucketStorage, Checkpoints, CheckpointStorage, DriverStorage, FolderStorage, place_at


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The URL of a bucket on a server that speaks S3, on the loopback."""
    pytest.importorskip("moto.server", reason="needs moto, a server that speaks S3")
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
    boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1").create_bucket(
        Bucket="checkpoints"
    )
    yield f"s3://checkpoints/podium?endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    server.stop()


@pytest.fixture(
    params=["folder", pytest.param("bucket", marks=pytest.mark.slow), pytest.param("driver", marks=pytest.mark.slow)]
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> CheckpointStorage:
    if request.param == "bucket":
        return place_at(request.getfixturevalue("s3"), tmp_path.name)
    if request.param == "driver":
        request.getfixturevalue("ray_local")
        return DriverStorage(FolderStorage(tmp_path / "kept"))
    return FolderStorage(tmp_path / "kept")


def test_a_place_keeps_whole_files_by_name(place: CheckpointStorage) -> None:
    assert place.names("") == []
    place.save("a@1.pt", {"w": torch.arange(3.0), "words": ["x"]})
    place.save("a@1.pt", {"w": torch.arange(4.0), "words": ["y"]})
    place.save("b@1.pt", {"w": 1})
    state = place.load("a@1.pt")
    assert torch.equal(state["w"], torch.arange(4.0)) and state["words"] == ["y"]
    assert sorted(place.names("")) == ["a@1.pt", "b@1.pt"] and place.names("a@") == ["a@1.pt"]
    place.remove("a@1.pt")
    place.remove("a@1.pt")
    with pytest.raises(FileNotFoundError):
        place.load("a@1.pt")
    place.clear()
    assert place.names("") == []
    place.clear()


def test_a_trial_keeps_its_two_newest(place: CheckpointStorage) -> None:
    checkpoints = Checkpoints(place)
    assert checkpoints.load("cnn-0001") == (None, "")
    for epoch in (1, 3, 9, 10):
        checkpoints.save("cnn-0001", epoch, {"epoch": epoch})
    checkpoints.save("cnn-00012", 27, {"epoch": 27})
    assert sorted(place.names("cnn-0001@")) == ["cnn-0001@000009.pt", "cnn-0001@000010.pt"]
    assert checkpoints.load("cnn-0001") == ({"epoch": 10}, "")
    checkpoints.remove("cnn-0001")
    assert checkpoints.load("cnn-0001") == (None, "") and checkpoints.load("cnn-00012")[0] == {"epoch": 27}


def test_that_a_trial_is_late_outlives_its_worker(place: CheckpointStorage) -> None:
    checkpoints = Checkpoints(place)
    assert not checkpoints.is_late("a", asked_at=1.0)
    checkpoints.mark_late("a", asked_at=1.0)
    assert checkpoints.is_late("a", asked_at=1.0) and not checkpoints.is_late("a", asked_at=7.0)
    assert checkpoints.load("a") == (None, "")
    checkpoints.remove("a")
    assert not checkpoints.is_late("a", asked_at=1.0)


@pytest.mark.parametrize("keep", [0, 100])
def test_a_damaged_newest_one_is_passed_over(tmp_path: Path, keep: int) -> None:
    checkpoints = Checkpoints(FolderStorage(tmp_path))
    for epoch in (1, 3):
        checkpoints.save("a", epoch, {"epoch": epoch, "w": torch.zeros(100)})
    newest = tmp_path / "a@000003.pt"
    newest.write_bytes(newest.read_bytes()[:keep])
    state, words = checkpoints.load("a")
    assert state is not None and state["epoch"] == 1
    assert words == f"{newest}: not a readable checkpoint (BadZipFile): passed over"


def test_a_folder_that_takes_nothing_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="File exists"):
        Checkpoints(FolderStorage(tmp_path / "file")).save("a", 1, {})
    assert not Checkpoints(FolderStorage(tmp_path / "file")).is_late("a", 1.0)


def test_where_a_storage_path_leads(tmp_path: Path) -> None:
    folder = place_at(str(tmp_path), "run")
    assert isinstance(folder, FolderStorage) and folder.shared and folder.path == tmp_path / "run"
    bucket = place_at("s3://key:geheim@b/x/?region=us-east-1&scheme=http", "run")
    assert isinstance(bucket, BucketStorage) and bucket.path == "b/x/run" and "geheim" not in str(bucket)
    with pytest.raises(ValueError, match="--storage-path nonsense://x: "):
        place_at("nonsense://x", "run")


@pytest.mark.slow
@pytest.mark.usefixtures("ray_local")
def test_a_driver_that_is_gone_is_an_os_error(tmp_path: Path) -> None:
    import ray

    place: Any = DriverStorage(FolderStorage(tmp_path))
    place.save("a", {})
    ray.kill(place.keeper)
    with pytest.raises(OSError, match="the driver's node does not answer"):
        place.save("a", {})


def test_the_newest_of_every_trial_can_be_listed(tmp_path: Path) -> None:
    checkpoints = Checkpoints(FolderStorage(tmp_path / "c"))
    assert checkpoints.newest() == {}
    for trial_id, epoch in (("a-1", 1), ("a-1", 3), ("mine@home", 27)):
        checkpoints.save(trial_id, epoch, {})
    checkpoints.mark_late("a-2", 0.0)
    assert checkpoints.newest() == {"a-1": 3, "mine@home": 27}
