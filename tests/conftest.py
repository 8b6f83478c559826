from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

# Triton's interpreter needs no GPU. Triton reads this when it is first imported, and any test may be the one to do it.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(scope="session", autouse=True)
def no_cache_of_the_users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Decoded images go to a folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PODIUM_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """The folder that holds MNIST/raw, for tests that want the real thing."""
    folder = Path(os.environ.get("PODIUM_DATA_DIR") or "data")
    if not (folder / "MNIST" / "raw").is_dir():
        pytest.skip(f"MNIST is not in {folder}; set PODIUM_DATA_DIR to the folder that holds MNIST/raw")
    return folder


@pytest.fixture
def listens_to_ctrl_c() -> Iterator[None]:
    """Processes that the test starts hear SIGINT, also where the tests run in the background of a shell, which has
    it ignored and hands that on."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def ray_local() -> Iterator[None]:
    """One local Ray of two CPUs for all tests that need one."""
    from cluster.connect import begun, connect
    from hpo.run import WORKERS_NEED

    with begun(2, WORKERS_NEED) as own, connect(None, cpus=2, own=own):
        yield
