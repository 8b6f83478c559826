"""Files that survive a kill at any moment: an append-only journal, and whole-or-nothing writes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import tempfile
from pathlib import Path
from typing import Any


class Journal:
    """One JSON object a line, flushed to disk before `append` returns.

    A last line that a kill tore is cut off when the journal is opened; every line before it is whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _cut_torn_line(path)
        # Unbuffered: a buffer would keep what a full disk refused, and write half of it later.
        self._file = path.open("ab", buffering=0)

    def append(self, entry: dict[str, Any]) -> None:
        """Adds one line; OSError (a full disk) leaves no part of it behind."""
        line = json.dumps(entry, allow_nan=False).encode() + b"\n"
        end = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            os.fsync(self._file.fileno())
        except OSError:
            os.truncate(self.path, end)
            raise

    def lock(self) -> None:
        """Keeps other processes from it until it is closed; BlockingIOError where one has it."""
        fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        self._file.close()


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Every whole line, in order; nothing where there is no file. ValueError for a line that is damaged."""
    if not path.exists():
        return []
    entries = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            entries += [json.loads(line)] if line else []
        except ValueError as error:
            raise ValueError(f"{path}: line {number} is damaged ({error})") from error
    return entries


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replaces `path` in one step: a reader, or a kill, sees the old file or the new one."""
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: dict[str, Any]) -> None:
    """`write_atomically` of a dictionary, as people read it."""
    write_atomically(path, json.dumps(value, indent=2) + "\n")


def _cut_torn_line(path: Path) -> None:
    if path.exists():
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            os.truncate(path, content.rfind(b"\n") + 1)
