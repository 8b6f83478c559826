"""Storages for checkpoints: one contract for a folder, a bucket, and the driver's folder seen from other nodes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.store.checkpoint_stores import CheckpointStorage, DriverStorage, FolderStorage, checkpoint_storage


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
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> CheckpointStorage:
    if request.param == "bucket":
        return checkpoint_storage(request.getfixturevalue("s3"), tmp_path.name)
    if request.param == "driver":
        request.getfixturevalue("ray_local")
        return DriverStorage(FolderStorage(tmp_path / "kept"))
    return FolderStorage(tmp_path / "kept")
