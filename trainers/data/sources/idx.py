"""MNIST, Fashion-MNIST and KMNIST: finding, downloading and reading IDX files (the format of LeCun's MNIST page)."""

from __future__ import annotations

import gzip
import os
import socket
import struct
import tempfile
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from trainers.errors import DataError

FAMILIES = {"mnist": "MNIST/raw", "fashion-mnist": "FashionMNIST/raw", "kmnist": "KMNIST/raw"}
_FILES = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
_UNFINISHED_MARK = ".arriving"  # there while a download moves its files
_REACH_TIMEOUT_S = 4.0  # for a mirror to answer at all
_STALL_TIMEOUT_S = 5.0  # for the next bytes of a download


def find(name: str, data_dir: Path) -> Path | None:
    """Returns the folder under `data_dir` that has the family's four files, plain or gzipped.

    None where there are no files, or a download was killed while it moved them there. Raises DataError where some of
    the files are there and others are missing.
    """
    raw = data_dir / FAMILIES[name]
    missing = [file for file in _FILES if _existing(raw, file) is None]
    if len(missing) == len(_FILES) or (missing and (raw / _UNFINISHED_MARK).exists()):
        return None
    if missing:
        raise DataError(f"--dataset {name}: {', '.join(missing)} missing in {raw}")
    return raw


def read(raw: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads images, uint8 (N, height, width, 1), and labels, int64 (N,), of the part "train" or "t10k".

    Raises DataError naming the file for a wrong magic number, a file that is too short or too long, a damaged gzip
    stream, a label over 9, or counts that differ.
    """
    images = _array(_existing(raw, f"{part}-images-idx3-ubyte"), 3)
    path = _existing(raw, f"{part}-labels-idx1-ubyte")
    labels = _array(path, 1)
    if len(images) != len(labels):
        raise DataError(f"{path}: {len(labels)} labels for {len(images)} images")
    if len(labels) == 0:
        raise DataError(f"{path}: has no labels")
    if labels.max() > 9:
        raise DataError(f"{path}: label {labels.max()} is not a class from 0 to 9")
    return images[..., None], labels.astype(np.int64)


def class_names(name: str) -> tuple[str, ...]:
    """Returns the names of the family's ten classes, in label order: torchvision's, but MNIST's are digits."""
    if name == "mnist":
        return tuple(map(str, range(10)))
    return tuple(_family(name).classes)


def download(name: str, data_dir: Path) -> Path | str:
    """Downloads the four files through torchvision, which verifies their checksums.

    Returns their folder, or the reason for the failure in a few words. The files arrive in a temporary folder and are
    moved when all are complete, so a failed or a parallel download leaves nothing half-written. Other files in their
    folder stay as they are.
    """
    family = _family(name)
    if not any(_reachable(mirror) for mirror in family.mirrors):
        return "no mirror answered"
    raw = data_dir / FAMILIES[name]
    stall = socket.getdefaulttimeout()
    try:
        raw.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=data_dir, prefix=".download-") as folder:
            socket.setdefaulttimeout(_STALL_TIMEOUT_S)
            family(folder, download=True)
            _move(Path(folder) / FAMILIES[name], raw)
    except (OSError, RuntimeError) as error:
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    finally:
        socket.setdefaulttimeout(stall)
    return raw


def _family(name: str) -> Any:
    from torchvision import datasets

    return {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST, "kmnist": datasets.KMNIST}[name]


def _move(arrived: Path, raw: Path) -> None:
    """Moves the family's files, each atomically; meanwhile, and after a kill, a mark says that some may be missing."""
    raw.mkdir(exist_ok=True)
    mark = raw / _UNFINISHED_MARK
    mark.touch()
    for file in _FILES:
        for name in (file, f"{file}.gz"):
            if (arrived / name).is_file():
                os.replace(arrived / name, raw / name)
    mark.unlink(missing_ok=True)


def _reachable(url: str) -> bool:
    """Tells whether anything answers at `url` within seconds; asks in a thread, as a name look-up has no timeout."""
    from urllib import error, request

    answered = threading.Event()

    def ask() -> None:
        try:
            request.urlopen(request.Request(url, method="HEAD"), timeout=_REACH_TIMEOUT_S).close()
            answered.set()
        except error.HTTPError:
            answered.set()
        except OSError:
            pass

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_REACH_TIMEOUT_S)
    return answered.is_set()


def _existing(raw: Path, file: str) -> Path | None:
    return next((path for path in (raw / file, raw / f"{file}.gz") if path.is_file()), None)


def _array(path: Path | None, dimensions: int) -> np.ndarray:
    assert path is not None, "find() has checked that the four files are there"
    content = _content(path)
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise DataError(f"{path}: truncated, {len(content)} bytes are too few for an IDX file")
    magic, *shape = struct.unpack(f">{1 + dimensions}I", content[:header])
    if magic != 0x0800 + dimensions:
        raise DataError(f"{path}: wrong magic number {magic:#010x}, expected {0x0800 + dimensions:#010x}")
    expected = header + int(np.prod(shape, dtype=np.int64))
    if len(content) != expected:
        what = "truncated" if len(content) < expected else "too long"
        raise DataError(f"{path}: {what}, {len(content)} bytes, but its header says {expected}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy()


def _content(path: Path) -> bytes:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
