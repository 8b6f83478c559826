"""The entries of a folder, .tar or .zip: names first; contents one by one, and only where a caller asks for them."""

from __future__ import annotations

import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from trainers.data.images.image_file import check_bytes
from trainers.errors import DataError

_CHUNK_BYTES = 1 << 16
# zipfile raises RuntimeError for a password, and NotImplementedError for an unusual compression.
_UNREADABLE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    RuntimeError,
    NotImplementedError,
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
)


class Entry(NamedTuple):
    """A file or folder within a folder, .tar or .zip."""

    name: str
    """Path relative to the folder or archive, with slashes."""
    is_folder: bool
    source: Callable[[], Path | BinaryIO]
    """Returns the file or its contents; to be called before the next entry is asked for.

    Raises DataError with the reason where it cannot be read, or has more bytes than an image needs.
    """


def entries(path: Path) -> Iterator[Entry]:
    """Yields everything under a folder, in a .zip, or in a .tar (compressed or not) from its first byte to its last.

    Linked folders are not entered. Raises DataError for what is neither, is damaged or ends too early.
    """
    if path.is_dir():
        yield from _entries_of_folder(path)
        return
    try:
        if not path.is_file():  # a FIFO would be waited for
            raise OSError("it is not a regular file")
        with path.open("rb") as file:
            is_zip = file.read(2) == b"PK"
        if is_zip:
            yield from _entries_of_zip(path)
            return
        with tarfile.open(path) as tar:
            for member in tar:
                yield Entry(member.name.removeprefix("./"), member.isdir(), partial(_contents, tar, member))
            _check_end(tar)
    except _UNREADABLE as error:
        raise DataError(f"--dataset {path}: is not a readable folder, .tar or .zip ({_one_line(error)})") from error


def _entries_of_folder(path: Path) -> Iterator[Entry]:
    for root, folders, files in os.walk(path):
        inside = Path(root).relative_to(path).as_posix()
        folders.sort()
        for name in folders:
            yield Entry(f"{inside}/{name}", True, partial(Path, root, name))
        for name in sorted(files):
            yield Entry(f"{inside}/{name}", False, partial(Path, root, name))


def _entries_of_zip(path: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            yield Entry(info.filename.removeprefix("./"), info.is_dir(), partial(_unzipped, archive, info))


def _unzipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    check_bytes(info.file_size)
    try:
        return BytesIO(archive.read(info))
    except _UNREADABLE as error:
        raise DataError(_one_line(error)) from error


def _check_end(tar: tarfile.TarFile) -> None:
    """Raises ReadError unless the archive was read to its end.

    tarfile takes a damaged header for the end, and a checksum of compressed data is only checked after the last byte.
    """
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    if any(tar.fileobj.read(tarfile.BLOCKSIZE)):
        raise tarfile.ReadError(f"damaged at byte {tar.offset:,}")
    while tar.fileobj.read(_CHUNK_BYTES):
        pass


def _contents(tar: tarfile.TarFile, member: tarfile.TarInfo) -> BinaryIO:
    """Returns a member in memory: a decoder seeks, and each seek back would read a compressed .tar from its start."""
    if not member.isfile():
        raise DataError("it is a link or a device, not a regular file")
    check_bytes(member.size)
    try:
        file = tar.extractfile(member)
        return BytesIO(file.read() if file else b"")
    except _UNREADABLE as error:
        raise DataError(_one_line(error)) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
