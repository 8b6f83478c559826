"""An append-only journal, which survives a kill at any moment."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpo.system.files import write_atomically

_CHECKED = re.compile(rb'(?s)(\{.+), "crc": "([0-9a-f]{8})"\}')  # a line with its checksum, the last key


class Journal:
    """One JSON object per line, with a checksum, on disk before `append` returns.

    An incomplete last line, left by a kill, is removed when the journal is opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _cut_torn_line(path)
        # Unbuffered: a buffer would keep what a full disk refused, and write a part of it later.
        self._file = path.open("ab", buffering=0)

    def append(self, entry: dict[str, Any]) -> None:
        """Adds one line. Raises OSError, for example for a full disk, and then leaves no part of the line."""
        line = _line(entry)
        end = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            os.fsync(self._file.fileno())
        except OSError:
            os.truncate(self.path, end)
            raise

    def lock(self) -> None:
        """Locks the journal until it is closed. Raises BlockingIOError when another process has locked it."""
        fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        self._file.close()


@dataclass
class Scan:
    """The content of a journal."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    """The line of each entry."""
    damaged: list[bytes] = field(default_factory=list)
    """The lines that are no entries."""


def scan(path: Path, check: Callable[[dict[str, Any]], object] = lambda _: None) -> Scan:
    """Reads all complete lines; none when the file is missing.

    A line is damaged when it is no JSON object, when its checksum is wrong, or when `check` raises ValueError, KeyError
    or TypeError for its entry.
    """
    found = Scan()
    for line in path.read_bytes().split(b"\n")[:-1] if path.exists() else ():
        if not line:
            continue
        try:
            entry = _entry(line)
            check(entry)
        except (ValueError, KeyError, TypeError, RecursionError):
            found.damaged.append(line)
            continue
        found.entries.append(entry)
        found.lines.append(line)
    return found


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Reads the entries of all undamaged lines, in order; none when the file is missing."""
    return scan(path).entries


def set_aside(path: Path, found: Scan) -> Path | None:
    """Moves the damaged lines to a file beside the journal, and returns its path; None when no line is damaged."""
    if not found.damaged:
        return None
    aside = path.with_name(f"{path.name}.damaged")
    with aside.open("ab") as file:
        file.write(_joined(found.damaged))
        file.flush()
        os.fsync(file.fileno())
    write_atomically(path, _joined(found.lines))
    return aside


def _line(entry: dict[str, Any]) -> bytes:
    body = json.dumps(entry, allow_nan=False).encode()
    return body[:-1] + b', "crc": "%08x"}\n' % zlib.crc32(body)


def _entry(line: bytes) -> dict[str, Any]:
    """Reads a line, with or without a checksum (earlier versions wrote none). Raises ValueError for a damaged one."""
    if checked := _CHECKED.fullmatch(line):
        line = checked[1] + b"}"
        if zlib.crc32(line) != int(checked[2], 16):
            raise ValueError("its checksum is wrong")
    entry = json.loads(line)
    if not isinstance(entry, dict):
        raise ValueError(f"it is a {type(entry).__name__}, not an object")
    return entry


def _joined(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _cut_torn_line(path: Path) -> None:
    if path.exists():
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            os.truncate(path, content.rfind(b"\n") + 1)
