"""What lies in a folder or a .tar: names first, contents one by one and only where they are asked for."""

from __future__ import annotations

import lzma
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from trainers.data.image_file import check_bytes
from trainers.errors import DataError

_CHUNK = 1 << 16
_UNREADABLE = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError)


class Entry(NamedTuple):
    """name: with slashes, relative to the folder or .tar. source: its file or contents, to be asked for before the
    next entry is; raises ValueError with the reason where they cannot be had, or are more than an image needs."""

    name: str
    is_folder: bool
    source: Callable[[], Path | BinaryIO]


def entries(path: Path) -> Iterator[Entry]:
    """Everything under a folder, which links do not lead out of, or in a .tar, compressed or not, front to back.

    Raises ValueError for what is neither, is damaged or ends too early.
    """
    if path.is_dir():
        yield from _of_folder(path)
        return
    try:
        if not path.is_file():  # a FIFO would be waited for
            raise OSError("it is no plain file")
        with tarfile.open(path) as tar:
            for member in tar:
                yield Entry(member.name.removeprefix("./"), member.isdir(), partial(_contents, tar, member))
            _check_end(tar)
    except _UNREADABLE as error:
        raise DataError(f"--dataset {path}: no readable folder or .tar ({_one_line(error)})") from error


def _of_folder(path: Path) -> Iterator[Entry]:
    for root, folders, files in os.walk(path):
        inside = Path(root).relative_to(path).as_posix()
        folders.sort()
        for name in folders:
            yield Entry(f"{inside}/{name}", True, partial(Path, root, name))
        for name in sorted(files):
            yield Entry(f"{inside}/{name}", False, partial(Path, root, name))


def _check_end(tar: tarfile.TarFile) -> None:
    """Raises ReadError unless the archive was read to its end.

    tarfile takes a damaged header for the end, and checksums of compressed data are looked at only behind their last
    byte.
    """
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    if any(tar.fileobj.read(tarfile.BLOCKSIZE)):
        raise tarfile.ReadError(f"damaged at byte {tar.offset:,}")
    while tar.fileobj.read(_CHUNK):
        pass


def _contents(tar: tarfile.TarFile, member: tarfile.TarInfo) -> BinaryIO:
    """In memory: a decoder goes to and fro, for which a compressed .tar would be read from its start each time."""
    if not member.isfile():
        raise DataError("it is a link or a device, no plain file")
    check_bytes(member.size)
    try:
        file = tar.extractfile(member)
        return BytesIO(file.read() if file else b"")
    except _UNREADABLE as error:
        raise DataError(_one_line(error)) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
