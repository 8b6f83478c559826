"""Files that are whole at every moment, also when the process is killed while it writes them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any


def write(path: Path, fill: Callable[[IO[bytes]], Any]) -> None:
    """Makes the file `path` of what `fill` writes, in one step: a reader, or a kill, sees the old file or the new one.

    Raises OSError where the disk does not take it, or the folder does not exist.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # a temporary file is its maker's alone
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        # On a full disk torch covers the system's own error with one about its archive.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise
