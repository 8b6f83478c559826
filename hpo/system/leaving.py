"""The end of a command's process."""

from __future__ import annotations

import atexit
import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """Ends the process as `sys.exit` does, but leaves its memory to the kernel: Python itself needs more than a second
    to take apart what PyTorch and Ray have built."""
    atexit._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except (OSError, ValueError):
        sys.exit(code)  # Python has its own words for a stream that takes nothing
    os._exit(code)
