"""Decoded images on disk: the next run maps them from there, and all processes of a machine share them.

An entry is a folder with the pixels of all images, and labels, classes and notices beside them. Its name is a hash of
the source's files (their names, sizes and times of change) and of how they are read. Entries appear whole or not at
all. The least recently used ones are removed where the cache outgrows its limit. $PODIUM_CACHE_DIR names the folder,
else it is ~/.cache/podium/data; $PODIUM_CACHE_GB is the limit, 20 by default, and 0 switches the cache off.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from trainers.cpu.native import cache_folder
from trainers.data.reading import MappedImages, RawSplit, ReadOptions, Source
from trainers.data.sources import folder
from trainers.errors import DataError

FORMAT = 1  # of an entry; another one makes all entries anew
DEFAULT_GIGABYTES = 20.0
MIN_PIXELS = 4_000_000  # of the source's images together: fewer are decoded in a moment
_PARTS = ("train", "validation", "test")
_PIXELS, _ABOUT, _LABELS = "images.bin", "about.json", "labels.npz"
_NEW = ".new-"  # begins the name of an entry that is being made
_in_use: list[IO[bytes]] = []  # locks of the entries that this process maps, kept until it ends


def read(path: Path, options: ReadOptions) -> Source:
    """Reads a folder or archive of images from the cache, or decodes it into the cache.

    Raises DataError as `folder.read`. Where the cache cannot be used, images are decoded into memory.
    """
    try:
        root, limit = data_folder(), limit_bytes()
        entry = root / _key(path, options)
    except (OSError, RuntimeError):
        return folder.read(path, options)
    if limit == 0:
        return folder.read(path, options)
    return _kept(entry, path) or _decoded(entry, path, options, limit)


def data_folder() -> Path:
    """Returns the cache's folder; creates it where it is missing. Raises OSError or RuntimeError where it cannot."""
    given = os.environ.get("PODIUM_CACHE_DIR")
    root = Path(given) if given else cache_folder() / "data"
    root.mkdir(parents=True, exist_ok=True)
    return root


def limit_bytes() -> int:
    """Returns the most bytes that the cache takes. Raises DataError where $PODIUM_CACHE_GB is no number."""
    given = os.environ.get("PODIUM_CACHE_GB") or str(DEFAULT_GIGABYTES)
    try:
        gigabytes = float(given)
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes < float("inf"):
        raise DataError(f"PODIUM_CACHE_GB={given}: must be a number of gigabytes, at least 0")
    return int(gigabytes * 1e9)


@dataclass(frozen=True)
class Entry:
    """A data set in the cache."""

    folder: Path
    source: str
    """The path that was read."""
    shape: tuple[int, int, int, int]
    """Number of images, height, width and channels."""
    used: float
    """When it was used last, as time.time()."""

    @property
    def nbytes(self) -> int:
        """The bytes that it takes on disk."""
        return sum(file.stat().st_size for file in self.folder.iterdir())


def entries(root: Path) -> list[Entry]:
    """Returns what is in the cache, the least recently used first; what is damaged is passed over."""
    found = []
    for about in root.glob(f"*/{_ABOUT}"):
        if about.parent.name.startswith(_NEW):
            continue
        with suppress(OSError, ValueError, KeyError, TypeError):
            content = json.loads(about.read_text(encoding="utf-8"))
            count, height, width, channels = (int(side) for side in content["shape"])
            used = about.stat().st_mtime
            found.append(Entry(about.parent, str(content["source"]), (count, height, width, channels), used))
    return sorted(found, key=lambda entry: entry.used)


def remove(entry: Entry) -> bool:
    """Removes an entry, unless a process uses it; returns whether it did. Raises OSError."""
    with _locked(entry.folder, exclusive=True) as lock:
        if lock is None:
            return False
        shutil.rmtree(entry.folder)
        return True


def _key(path: Path, options: ReadOptions) -> str:
    digest = hashlib.sha256(repr((FORMAT, options.size, options.resize, options.skip_broken)).encode())
    for name, file in _files(path):
        about = file.stat()
        digest.update(repr((name, about.st_size, about.st_mtime_ns)).encode())
    return digest.hexdigest()[:32]


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """Yields the files of a source by their names in it, in a fixed order; an archive is one file."""
    if not path.is_dir():
        yield path.name, path
        return
    for root, folders, files in os.walk(path):
        folders.sort()
        # Folders count: an empty one is a class without images.
        for name in sorted([*files, *folders]):
            file = Path(root, name)
            if file.is_file():
                yield str(file.relative_to(path)), file
            elif file.is_dir():
                yield f"{file.relative_to(path)}/", path


def _kept(entry: Path, path: Path) -> Source | None:
    """Returns what the entry holds; None where there is none, or it is damaged."""
    try:
        lock = _take_lock(entry, exclusive=False)
        if lock is None:
            return None
        about = json.loads((entry / _ABOUT).read_text(encoding="utf-8"))
        source = _source(entry, path, about)
        os.utime(entry / _ABOUT)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    _in_use.append(lock)
    from_cache = "decoded images are from the cache, see hpo cache"
    return source._replace(notice="; ".join(filter(None, (source.notice, from_cache))))


def _source(entry: Path, path: Path, about: dict[str, Any]) -> Source:
    """Maps an entry. Raises OSError, ValueError, KeyError or TypeError where it is damaged."""
    mapped = MappedImages(entry / _PIXELS, tuple(about["shape"]))
    if (entry / _PIXELS).stat().st_size != np.prod(mapped.shape):
        raise ValueError("its pixels are not whole")
    images = np.memmap(mapped.path, np.uint8, "r", shape=mapped.shape)
    with np.load(entry / _LABELS) as labels:
        parts = {
            part: RawSplit(images, labels[part], labels[f"{part}_rows"], mapped) if part in labels else None
            for part in _PARTS
        }
    train = parts["train"]
    if train is None:
        raise ValueError("it has no training images")
    classes, skipped = tuple(about["classes"]), tuple(about["skipped"])
    return Source(str(path), classes, train, parts["validation"], parts["test"], about["notice"], skipped)


class _TooSmall(Exception):
    """A data set that is decoded in a moment is not worth an entry."""


class _NoRoom(Exception):
    """The cache's limit, or the disk, has no room for it."""


def _decoded(entry: Path, path: Path, options: ReadOptions, limit: int) -> Source:
    """Decodes into a new entry, or into memory where that is not possible or not worth it."""
    try:
        made = _made(entry, path, options, limit)
    except (_TooSmall, _NoRoom, OSError):
        made = None
    if made is None or (kept := _kept(entry, path)) is None:
        return folder.read(path, options)
    return kept._replace(notice=made.notice)


def _made(entry: Path, path: Path, options: ReadOptions, limit: int) -> Source:
    """Makes an entry. Raises _TooSmall, _NoRoom or OSError."""
    with tempfile.TemporaryDirectory(dir=entry.parent, prefix=_NEW, ignore_cleanup_errors=True) as made:
        room = _Room(Path(made), limit)
        source = folder.read(path, options, room)
        _write(Path(made), path, source, room.shape[0])
        _make_space(entry.parent, limit)
        with suppress(OSError):  # another process was faster: its entry is as good
            os.rename(made, entry)
    return source


class _Room:
    """Makes the file that images are decoded into."""

    def __init__(self, made: Path, limit: int) -> None:
        self.made, self.limit = made, limit
        self.shape: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __call__(self, shape: tuple[int, int, int, int], source_pixels: int) -> np.ndarray:
        if source_pixels < MIN_PIXELS:
            raise _TooSmall
        size, self.shape = int(np.prod(shape)), shape
        if size > self.limit:
            raise _NoRoom
        with (self.made / _PIXELS).open("wb") as file:
            # Space is taken now: a mapped file on a full disk would end the process.
            os.posix_fallocate(file.fileno(), 0, size)
        return np.memmap(self.made / _PIXELS, np.uint8, "r+", shape=shape)


def _write(made: Path, path: Path, source: Source, count: int) -> None:
    """Writes what is beside the pixels of `count` images."""
    arrays: dict[str, np.ndarray] = {}
    for part in _PARTS:
        if split := getattr(source, part):
            arrays |= {part: split.labels, f"{part}_rows": split.all_rows()}
    np.savez(made / _LABELS, **arrays)  # type: ignore[arg-type]  # its stub takes arrays for a flag
    about = {
        "source": str(path.resolve()),
        "shape": [count, *source.train.shape],
        "classes": list(source.classes),
        "notice": source.notice,
        "skipped": list(source.skipped),
    }
    (made / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
    for file in made.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())


def _make_space(root: Path, limit: int) -> None:
    """Removes the least recently used entries, so that all together stay within the limit."""
    new = sum(file.stat().st_size for made in root.glob(f"{_NEW}*") for file in made.iterdir())
    found = entries(root)
    total = new + sum(entry.nbytes for entry in found)
    for entry in found:
        if total <= limit:
            return
        size = entry.nbytes
        if remove(entry):
            total -= size


@contextmanager
def _locked(entry: Path, *, exclusive: bool) -> Iterator[IO[bytes] | None]:
    lock = _take_lock(entry, exclusive=exclusive)
    try:
        yield lock
    finally:
        if lock:
            lock.close()


def _take_lock(entry: Path, *, exclusive: bool) -> IO[bytes] | None:
    """Locks an entry's description as used (shared) or as to be removed; None where another process forbids it."""
    import fcntl

    lock = (entry / _ABOUT).open("rb")
    try:
        fcntl.flock(lock, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock
