from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from trainers.cpu import native
from trainers.cpu.native import kernels
from trainers.cpu.pooling import fuse_pooling


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A cache folder of the test's own."""
    if kernels() is None:
        pytest.skip("no C++ compiler here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(native, "_FLAGS", ("-std=c++17", "-O0", "-shared", "-fPIC"))  # compiles in less time
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
    monkeypatch.setattr(native, "_COMPILE_TIMEOUT_S", 0.2)
    began = time.monotonic()
    assert kernels() is None
    assert time.monotonic() - began < 10
    assert "PyTorch's own operations instead" in caplog.text
    assert built(tmp_path) == []
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2))
    assert type(fuse_pooling(network, 1)[1]) is nn.MaxPool2d  # type: ignore[index]
    assert network(torch.zeros(1, 1, 8, 8)).shape == (1, 4, 3, 3)


def elsewhere() -> subprocess.Popen[str]:
    """Another process that asks for the kernels and says whether it has them."""
    script = "from trainers.cpu.native import kernels; print(kernels() is not None)"
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def works(process: subprocess.Popen[str]) -> bool:
    return process.communicate()[0].strip() == "True"


@pytest.mark.slow
def test_a_damaged_library_is_left_to_whom_it_works_for(tmp_path: Path) -> None:
    assert works(elsewhere())
    (library,) = built(tmp_path)
    library.unlink()
    library.write_bytes(b"\x7fELF")
    assert works(elsewhere())
    assert built(tmp_path) == [library] and library.read_bytes() == b"\x7fELF"


@pytest.mark.parametrize("home", ["a file", "none"])
def test_a_home_that_cannot_be_used(home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file") if home == "a file" else "")
    if home == "none":
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert kernels() is not None
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file"]  # nothing of it stays


@pytest.mark.slow
def test_workers_that_start_at_once_share_one(tmp_path: Path) -> None:
    workers = [elsewhere() for _ in range(3)]
    assert [works(worker) for worker in workers] == [True] * 3
    assert len(built(tmp_path)) == 1
