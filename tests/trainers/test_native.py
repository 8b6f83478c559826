from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from trainers import native
from trainers.native import kernels
from trainers.pooling import fuse_pooling


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A cache folder of the test's own."""
    if kernels() is None:
        pytest.skip("no C++ compiler here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kernels.cache_clear()
    yield
    kernels.cache_clear()


def built(folder: Path) -> list[Path]:
    return list((folder / "podium").iterdir()) if (folder / "podium").exists() else []


def test_it_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels() is not None
    (library,) = built(tmp_path)
    kernels.cache_clear()
    monkeypatch.setattr(native, "_compile", lambda _: pytest.fail("compiled again"))
    assert kernels() is not None
    assert built(tmp_path) == [library]


def test_another_source_or_compiler_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels()
    other = tmp_path / "kernels.cpp"
    other.write_text(native._SOURCE.read_text() + "// changed\n")
    monkeypatch.setattr(native, "_SOURCE", other)
    kernels.cache_clear()
    kernels()
    assert len(built(tmp_path)) == 2


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false", "sleep 60"])
def test_without_a_compiler_pytorch_does_it(
    compiler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CXX", compiler)
    monkeypatch.setattr(native, "_PATIENCE_S", 0.2)
    began = time.monotonic()
    assert kernels() is None
    assert time.monotonic() - began < 10
    assert "PyTorch's own operations instead" in caplog.text
    assert built(tmp_path) == []
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2))
    assert type(fuse_pooling(network, 1)[1]) is nn.MaxPool2d  # type: ignore[index]
    assert network(torch.zeros(1, 1, 8, 8)).shape == (1, 4, 3, 3)


def test_a_half_written_library_is_built_again(tmp_path: Path) -> None:
    library = native._cached()
    whole = library.stat().st_size
    library.write_bytes(b"\x7fELF")
    assert kernels() is not None
    assert library.stat().st_size == whole


def test_a_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(native.tempfile, "tempdir", None)
    assert kernels() is not None
    monkeypatch.setattr(native.tempfile, "tempdir", None)
    assert [entry for entry in os.listdir(tmp_path) if entry.startswith("podium-")]
