"""How many processors this process may use."""

from __future__ import annotations

import os


def usable_cpus() -> int:
    """The processors that the process may run on: those of its affinity mask, where the system has one."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
