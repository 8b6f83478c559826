"""Files that survive a kill at any moment: an append-only journal, and whole-or-nothing writes."""

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
    """One JSON object a line, with a checksum, flushed to disk before `append` returns.

    A last line that a kill tore is cut off when the journal is opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _cut_torn_line(path)
        # Unbuffered: a buffer would keep what a full disk refused, and write half of it later.
        self._file = path.open("ab", buffering=0)

    def append(self, entry: dict[str, Any]) -> None:
        """Adds one line; OSError (a full disk) leaves no part of it behind."""
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
        """Keeps other processes from it until it is closed; BlockingIOError where one has it."""
        fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        self._file.close()


@dataclass
class Scan:
    """What a journal holds: its entries and, of each, the line; the lines that are damaged."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    damaged: list[bytes] = field(default_factory=list)


def scan(path: Path, check: Callable[[dict[str, Any]], object] = lambda _: None) -> Scan:
    """Reads every line that a newline ends; nothing where there is no file.

    check: raises ValueError, KeyError or TypeError for an entry that is not what it must be. A line is damaged where it
    is no JSON object, where its checksum is another, or where `check` says so.
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
    """The entries of every whole line, in order; nothing where there is no file."""
    return scan(path).entries


def set_aside(path: Path, found: Scan) -> Path | None:
    """Moves the damaged lines of a journal into a file beside it, which is returned; None where there are none."""
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
    """The object in a line, without its checksum (earlier versions wrote none). ValueError where it is damaged."""
    if checked := _CHECKED.fullmatch(line):
        line = checked[1] + b"}"
        if zlib.crc32(line) != int(checked[2], 16):
            raise ValueError("its checksum is another")
    entry = json.loads(line)
    if not isinstance(entry, dict):
        raise ValueError(f"a {type(entry).__name__} is no entry")
    return entry


def _joined(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _cut_torn_line(path: Path) -> None:
    if path.exists():
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            os.truncate(path, content.rfind(b"\n") + 1)
