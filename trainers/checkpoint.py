"""Saving and loading tensors and plain values: written atomically, read without running code."""

from __future__ import annotations

import errno
import io
import zipfile
from pathlib import Path
from typing import IO, Any

from trainers import atomic


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes `state` (tensors and plain values) atomically: `path` is always a complete file, old or new.

    Raises OSError where the disk is full or fails.
    """
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(path, lambda file: torch.save(state, file))


def load(path: Path) -> dict[str, Any]:
    """Reads what `save` wrote; no code in the file can run (weights_only).

    Raises ValueError for a file that is truncated, damaged, or anything but a dict of tensors and plain values;
    FileNotFoundError where there is none; OSError where the disk fails.
    """
    with path.open("rb") as file:
        return _read(file, str(path))


def dumps(state: dict[str, Any]) -> bytes:
    """Returns the bytes that `save` would write."""
    import torch

    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def loads(content: bytes, name: str) -> dict[str, Any]:
    """Reads the bytes that `dumps` returned; raises what `load` raises, with `name` in the message."""
    return _read(io.BytesIO(content), name)


class _Damaged(ValueError):
    """A checksum is wrong."""


def _read(file: IO[bytes], name: str) -> dict[str, Any]:
    import torch

    try:
        # torch does not look at the archive's checksums, zipfile does.
        with zipfile.ZipFile(file) as archive:
            broken = archive.testzip()
        if broken:
            raise _Damaged(f"{name}: damaged, the checksum of {broken} is wrong")
        file.seek(0)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except _Damaged:
        raise
    except Exception as error:  # damaged bytes raise any error of zip, its compressions or pickle
        # An error of the disk; but EINVAL comes from damaged offsets, before the start of the file.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise ValueError(f"{name}: not a readable checkpoint ({type(error).__name__})") from error
    if not isinstance(state, dict):
        raise ValueError(f"{name}: not a checkpoint, but a {type(state).__name__}")
    return state
