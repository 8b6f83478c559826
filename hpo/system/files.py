"""Files that are whole at every moment, also when the process is killed while it writes them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from hpo.system.errors import UserError
from trainers import atomic


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replaces `path` in one step: a reader, or a kill, sees the old file or the new one."""
    data = content.encode() if isinstance(content, str) else content
    atomic.write(path, lambda file: file.write(data))


def write_json(path: Path, value: dict[str, Any]) -> None:
    """`write_atomically` of a dictionary, as people read it."""
    write_atomically(path, json.dumps(value, indent=2) + "\n")


def check_output(flag: str, path: Path, *suffixes: str) -> None:
    """UserError unless `path` can be written and has a suffix of what is written: so that no slip replaces
    weights or pictures. Asked before any work is done."""
    if path.suffix.lower() not in suffixes:
        raise UserError(f"{flag} {path}: must end in {' or '.join(suffixes)}")
    if path.exists() and not path.is_file():
        raise UserError(f"{flag} {path}: is there and no plain file")
    if not os.access(path.parent, os.W_OK):
        reason = "cannot be written to" if path.parent.is_dir() else "is no folder"
        raise UserError(f"{flag} {path}: {path.parent} {reason}")
