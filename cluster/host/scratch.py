"""A folder for the session of a Ray of our own: short enough for its sockets, and gone with it.

A lock tells a folder that is in use from one whose run was killed; the next run clears the latter.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "podium-ray-"
MAX_BYTES = 107  # of the path of a socket
SOCKET_BYTES = len(f"/{PREFIX}abcdefgh/ray/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store")
OTHERS = ("/tmp", "/var/tmp")
FREE_BYTES = 30 * 2**20  # that Ray's own logs and tables need
_LOCK = "lock"


def find_base() -> Path:
    """Where the folder is made: $RAY_TMPDIR, $TMPDIR or what else the system has, whichever Ray can work in.

    Raises ConnectionError, in one line, where there is none.
    """
    wanted = [os.environ.get("RAY_TMPDIR"), os.environ.get("TMPDIR"), *OTHERS]
    places = list(dict.fromkeys(Path(place).absolute() for place in wanted if place))
    reasons = {place: _reason_against(place) for place in places}
    for place, reason in reasons.items():
        if not reason:
            return place
    said = "; ".join(f"{place} {reason}" for place, reason in reasons.items())
    raise ConnectionError(f"Ray has no folder for temporary files: {said}; name another one in TMPDIR")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder, for this process alone, that is removed at the end. Raises ConnectionError as `find_base`."""
    base = find_base()
    clear_abandoned(base)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    inner = folder / "ray"  # which Ray opens to everyone
    inner.mkdir()
    try:
        yield inner
    finally:
        remove(folder)
        os.close(lock)


def clear_abandoned(base: Path) -> None:
    """Removes the folders in `base` whose runs are gone: this user's, that nobody else can write to."""
    for folder in base.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if _is_ours(folder) and _is_abandoned(folder):
                remove(folder)


def remove(folder: Path, seconds: float = 3.0) -> None:
    """Removes the folder, also where a process that is ending still writes into it for a moment."""
    until = time.monotonic() + seconds
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() > until:
            return
        time.sleep(0.05)


def _reason_against(place: Path) -> str:
    """Why Ray cannot work in a folder, "" where it can."""
    if len(os.fsencode(place)) + SOCKET_BYTES > MAX_BYTES:
        return f"is longer than the {MAX_BYTES - SOCKET_BYTES} characters that the paths of its sockets leave"
    try:
        probe = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        try:
            free = shutil.disk_usage(probe).free
        finally:
            probe.rmdir()
    except OSError as error:
        return f"cannot be written to ({error.strerror})"
    return f"is full ({free // 2**20} MiB are free)" if free < FREE_BYTES else ""


def _is_ours(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def _is_abandoned(folder: Path) -> bool:
    """Whether nobody holds its lock. One without a lock is just being made, unless it is old."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return time.time() - folder.lstat().st_mtime > 60
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
