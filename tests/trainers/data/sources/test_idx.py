from __future__ import annotations

import gzip
import hashlib
import struct
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from trainers.data.dataset import load_dataset
from trainers.data.sources import idx

RNG = np.random.default_rng(0)


def encode(array: np.ndarray) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def contents(count: int = 60) -> dict[str, bytes]:
    labels = np.arange(count) % 10
    files = {}
    for part in ("train", "t10k"):
        files[f"{part}-images-idx3-ubyte"] = encode(RNG.integers(0, 256, (count, 28, 28)))
        files[f"{part}-labels-idx1-ubyte"] = encode(labels)
    return files


def write(raw: Path, files: dict[str, bytes]) -> None:
    raw.mkdir(parents=True)
    for name, data in files.items():
        (raw / name).write_bytes(data)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    write(tmp_path / "MNIST" / "raw", contents())
    return tmp_path / "MNIST" / "raw"


def test_reads_plain_and_gzipped_files(raw: Path) -> None:
    plain = idx.read(raw, "train")
    for file in list(raw.iterdir()):
        file.with_name(file.name + ".gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert idx.find("mnist", raw.parent.parent) == raw
    zipped = idx.read(raw, "train")
    assert plain[0].shape == (60, 28, 28, 1)
    assert all(np.array_equal(a, b) for a, b in zip(plain, zipped, strict=True))


BROKEN = {
    "magic": (lambda d: b"\0\0\x08\x01" + d[4:], "wrong magic number 0x00000801, expected 0x00000803"),
    "short": (lambda d: d[:-100], r"truncated, \d+ bytes, but its header says 47056"),
    "long": (lambda d: d + b"x", r"too long, 47057 bytes, but its header says 47056"),
    "header": (lambda d: d[:7], "truncated, 7 bytes are too few for an IDX file"),
    "empty": (lambda d: b"", "truncated, 0 bytes are too few for an IDX file"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_files_are_named(raw: Path, kind: str) -> None:
    change, message = BROKEN[kind]
    file = raw / "train-images-idx3-ubyte"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(ValueError, match=f"train-images-idx3-ubyte: {message}"):
        load_dataset("mnist", raw.parent.parent)


@pytest.mark.parametrize("damage", [lambda d: d[:200], lambda d: d[:50] + b"\xff" * 50 + d[100:], lambda d: b"no gzip"])
def test_broken_gzip_is_named(raw: Path, damage: object) -> None:
    file = raw / "train-images-idx3-ubyte"
    file.with_name(file.name + ".gz").write_bytes(damage(gzip.compress(file.read_bytes())))  # type: ignore[operator]
    file.unlink()
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz: cannot be read"):
        load_dataset("auto", raw.parent.parent)


def test_labels_must_agree(raw: Path) -> None:
    labels = raw / "train-labels-idx1-ubyte"
    labels.write_bytes(encode(np.arange(50) % 10))
    with pytest.raises(ValueError, match="50 labels for 60 images"):
        load_dataset("mnist", raw.parent.parent)
    labels.write_bytes(encode(np.full(60, 17)))
    with pytest.raises(ValueError, match="label 17 is not a class from 0 to 9"):
        load_dataset("mnist", raw.parent.parent)


def test_a_missing_file_is_no_reason_to_fall_back(raw: Path) -> None:
    (raw / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(ValueError, match="t10k-labels-idx1-ubyte missing in"):
        load_dataset("auto", raw.parent.parent)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A server of gzipped files on the loopback that torchvision takes for the only mirror."""
    from torchvision.datasets import MNIST

    served = tmp_path / "served"
    zipped = {f"{name}.gz": gzip.compress(data) for name, data in contents().items()}
    write(served, zipped)
    handler = partial(SimpleHTTPRequestHandler, directory=str(served))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    monkeypatch.setattr(handler.func, "log_message", lambda *args: None)
    monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
    sums = [(name, hashlib.md5(data).hexdigest()) for name, data in zipped.items()]
    monkeypatch.setattr(MNIST, "resources", sums)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def test_downloads_once_and_whole(mirror: Path, tmp_path: Path) -> None:
    dataset = load_dataset("auto", tmp_path / "data")
    assert dataset.name == "mnist" and len(dataset.test) == 60
    assert [entry.name for entry in (tmp_path / "data").iterdir()] == ["MNIST"]
    for file in mirror.iterdir():
        file.unlink()
    assert load_dataset("mnist", tmp_path / "data").hashes == dataset.hashes


def test_a_download_with_a_wrong_checksum_is_not_kept(mirror: Path, tmp_path: Path) -> None:
    (mirror / "train-labels-idx1-ubyte.gz").write_bytes(b"something else")
    dataset = load_dataset("auto", tmp_path / "data")
    assert dataset.name == "digits" and "train-labels-idx1-ubyte.gz" in dataset.notice
    assert idx.find("mnist", tmp_path / "data") is None


def test_no_mirror_is_answered_soon_and_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])
    assert idx.download("mnist", tmp_path / "data") == "no mirror answered"
    assert not (tmp_path / "data").exists()


def test_a_download_leaves_alone_what_else_is_there(mirror: Path, tmp_path: Path) -> None:
    raw = tmp_path / "data" / "MNIST" / "raw"
    (raw / "notes").mkdir(parents=True)
    (raw / "notes" / "mine.txt").write_text("mine")
    (raw / "own.npz").write_bytes(b"own")
    assert load_dataset("mnist", tmp_path / "data").name == "mnist"
    assert (raw / "notes" / "mine.txt").read_text() == "mine" and (raw / "own.npz").read_bytes() == b"own"
    assert not [path for path in raw.iterdir() if path.name.startswith(".")]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["MNIST"]


@pytest.mark.parametrize("moved", [0, 1, 4, 7, 8])
def test_a_download_killed_as_its_files_move_is_taken_up_anew(
    moved: int, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, count = tmp_path / "data", iter(range(moved))

    def replace(source: Path, target: Path) -> None:
        if next(count, None) is None:
            raise KeyboardInterrupt  # as good as a kill: nothing catches it on the way
        source.rename(target)

    with monkeypatch.context() as patch:
        patch.setattr(idx.os, "replace", replace)
        if moved < 8:
            with pytest.raises(KeyboardInterrupt):
                idx.download("mnist", data)
        else:
            assert idx.download("mnist", data) == data / "MNIST" / "raw"
    found = idx.find("mnist", data)
    assert found is None or all(len(idx.read(found, part)[0]) == 60 for part in ("train", "t10k"))
    assert load_dataset("mnist", data).name == "mnist"


def test_downloads_side_by_side_all_end_whole(mirror: Path, tmp_path: Path) -> None:
    data, found = tmp_path / "data", []
    (data / "MNIST" / "raw").mkdir(parents=True)
    threads = [threading.Thread(target=lambda: found.append(idx.download("mnist", data))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    raw = data / "MNIST" / "raw"
    assert found == [raw] * 4 and len(idx.read(raw, "train")[0]) == 60
    assert [path.name for path in data.iterdir()] == ["MNIST"] and len(list(raw.iterdir())) == 8
