"""Files that are whole at every moment, and their owner's alone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of `path` when the block ends: a reader, or a kill, sees the old file or
    the new one. An error in the block leaves the old one.

    Raises OSError where the disk does not take it, or the folder does not exist.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=half_name(path.name))
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def half_name(name: str) -> str:
    """What the name begins with while the file is being written; a kill leaves one."""
    return f".{name}-"
