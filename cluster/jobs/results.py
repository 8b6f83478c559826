"""Brings results back from a cluster without a shared disk.

Ray's Jobs API sends files to a cluster, and none back. But its dashboard hands out the files in the session's log
folder, behind the same token. The job writes its results there as an archive, again and again while it runs, and the
submitting machine fetches it.
"""

from __future__ import annotations

import fcntl
import gzip
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any

from cluster.errors import ClusterError
from cluster.host.atomic import replacing

MAX_WEIGHTS_BYTES = 50_000_000
LOCK_S = 5.0
_WEIGHTS = ".pt"
_DATABASE = "study.db"


def archive_name(job: str) -> str:
    """The name of a job's archive in the session's log folder."""
    return f"podium-{job}.tar.gz"


def publish(folder: Path, archive: Path, whole: bool) -> list[str]:
    """Packs results/NAME into `archive`, in one step; returns the files that were too large.

    Weights and logs are left out unless `whole`. The database is copied as it is at one moment, while a driver writes.
    Raises OSError or sqlite3.Error where a file cannot be read or the disk is full; the old archive stays then.
    """
    left: list[str] = []
    with replacing(archive) as file, tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as tar:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = path.relative_to(folder)
            if not _comes_back(name, whole):
                continue
            if path.suffix == _WEIGHTS and path.stat().st_size > MAX_WEIGHTS_BYTES:
                left.append(str(path))
            elif path.name == _DATABASE:
                _add(tar, str(name), _snapshot(path), path)
            else:
                with suppress(FileNotFoundError):  # replaced just now
                    _add(tar, str(name), path.read_bytes(), path)
    return left


def unpack(content: bytes, folder: Path) -> bool:
    """Puts the files of an archive into `folder`, each in one step; what else is in it stays.

    Returns False where the folder has more finished trials than the archive: the run has gone on here, and nothing is
    changed. Raises ClusterError where the archive is not whole, a driver is at work in the folder, or the folder holds
    another run of this name; OSError where the disk fails.
    """
    with _opened(content) as archive:
        folder.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=folder, prefix=".new-"))
        with (folder / ".lock").open("a") as lock:  # a driver's, too
            try:
                _lock(lock, folder)
                return _unpack(archive, new, folder)
            finally:
                shutil.rmtree(new, ignore_errors=True)


def trials_in(folder: Path) -> int:
    """How many finished trials a run's journal holds; -1 where there is no run."""
    try:
        return (folder / "trials.jsonl").read_bytes().count(b"\n")
    except OSError:
        return 0 if (folder / "study.json").exists() else -1


def check_same(one: Path, other: Path) -> None:
    """ClusterError where the two folders hold different runs, of one name."""
    ids = [_run_id(folder) for folder in (one, other)]
    if None not in ids and ids[0] != ids[1]:
        raise ClusterError(
            f"{other}: is another run of this name, and was left as it is; move it away, or take it for good"
        )


def _comes_back(name: Path, whole: bool) -> bool:
    """Whether a file of a run, by its path in the run's folder, belongs in the archive."""
    hidden = any(part.startswith(".") for part in name.parts)  # .lock, .tune, .finals, a half-written file
    if hidden or "checkpoints" in name.parts or name.name.startswith(f"{_DATABASE}-"):
        return False
    return whole or (name.parts[0] != "logs" and name.suffix != _WEIGHTS)


def _run_id(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / "study.json").read_text(encoding="utf-8"))["id"])
    except (OSError, ValueError, KeyError):
        return None


def _lock(lock: IO[str], folder: Path) -> None:
    """Takes the lock, and waits a few seconds for it: another follower of the same job holds it no longer."""
    until = time.monotonic() + LOCK_S
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise ClusterError(f"{folder}: another driver is at work there, so nothing was brought") from None
            time.sleep(0.2)


def _unpack(archive: tarfile.TarFile, new: Path, folder: Path) -> bool:
    _extract(archive, new)
    check_same(new, folder)
    if trials_in(new) < trials_in(folder):
        return False
    for left in folder.glob(f"{_DATABASE}-*"):
        left.unlink()  # what SQLite had beside the database that is replaced
    for path in sorted(p for p in new.rglob("*") if p.is_file()):
        target = folder / path.relative_to(new)
        target.parent.mkdir(parents=True, exist_ok=True)
        _sync(path)
        os.replace(path, target)
    return True


@contextmanager
def _opened(content: bytes) -> Iterator[tarfile.TarFile]:
    try:
        whole = gzip.decompress(content)  # checks the sum over all of it, which tarfile does not
        with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
            yield archive
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ClusterError(f"the results did not arrive whole ({error})") from error


def _extract(tar: tarfile.TarFile, new: Path) -> None:
    """Extracts files only, and only below `new`. The first releases of Python 3.11 have no such filter in tarfile."""
    for entry in tar.getmembers():
        path = PurePosixPath(entry.name)
        if not (entry.isreg() or entry.isdir()) or path.is_absolute() or ".." in path.parts:
            raise tarfile.TarError(f"{entry.name} is no file of the run's")
    own: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    tar.extractall(new, **own)


def _add(tar: tarfile.TarFile, name: str, content: bytes, source: Path) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), 0o644, source.stat().st_mtime
    tar.addfile(entry, io.BytesIO(content))


def _snapshot(database: Path) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        return copy.read_bytes()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
