"""Freed memory stays with the process instead of going back to the system after every step."""

from __future__ import annotations

import ctypes
import sys

# From malloc.h; both take an int.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> bool:
    """Tells glibc not to return freed memory, and to take large blocks from the heap too; False elsewhere.

    A training step frees and asks for the same large tensors over and over. By default each is mapped anew and the
    kernel clears it page by page, which costs up to half the time of a step on a CPU.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    # Older versions take at most 32 MiB for the second.
    kept = bool(mallopt(_M_TRIM_THRESHOLD, 1 << 30))
    return kept and bool(mallopt(_M_MMAP_THRESHOLD, 1 << 30) or mallopt(_M_MMAP_THRESHOLD, 1 << 25))
