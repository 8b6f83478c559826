"""How much memory this machine has left, checked before images take much of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from trainers.errors import DataError

NOTICE_BYTES = 10**9  # from here on, the user is told what the images take
BYTES_PER_VALUE = 2  # one as it is read, one in the split that it comes to
# Files of a control group: its limit, its use, and the entry of memory.stat that the kernel frees on demand.
_CGROUP_V2 = ("memory.max", "memory.current", "inactive_file")
_CGROUP_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def check_images(where: str, count: int, shape: tuple[int, int, int]) -> str:
    """Returns a notice on the memory that `count` images of `shape` (height, width, channels) take, or "".

    Raises DataError, which starts with `where`, if that is more than is free.
    """
    height, width, channels = shape
    needed, free = count * height * width * channels * BYTES_PER_VALUE, available_bytes()
    images = f"{count:,} images of {width}x{height}x{channels}"
    if free is not None and needed > free:
        raise DataError(
            f"{where}: {images} need {gigabytes(needed)} of memory, only {gigabytes(free)} are free; use smaller images"
        )
    return f"{images} take {gigabytes(needed)} of memory; smaller images train faster" if needed > NOTICE_BYTES else ""


def gigabytes(count: int) -> str:
    """Returns `count` bytes as text in gigabytes of 10**9 bytes, as in "5.4 GB"."""
    return f"{count / 1e9:,.1f} GB"


def available_bytes(root: Path = Path("/")) -> int | None:
    """Returns the bytes of memory that this process can still take, within the limits of its control groups.

    None where the system does not say. root: the folder that has proc and sys.
    """
    free = [*_free_in_machine(root), *_free_in_groups(root)]
    return max(0, min(free)) if free else None


def _free_in_machine(root: Path) -> Iterator[int]:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            yield 1024 * int(line.split()[1])
            return
    for pages in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"):  # other systems than Linux; macOS has only the second
        with suppress(AttributeError, ValueError, OSError):
            yield os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
            return


def _free_in_groups(root: Path) -> Iterator[int]:
    """Yields what the limits of this process's control groups, and of their parents, leave."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top, names = root / "sys/fs/cgroup", _CGROUP_V2
        if controllers:
            top, names = top / "memory", _CGROUP_V1
        group = PurePosixPath(path.lstrip("/"))
        for folder in (group, *group.parents):
            yield from _free_in_group(top / folder, names)


def _free_in_group(folder: Path, names: tuple[str, str, str]) -> Iterator[int]:
    limit, use, idle = names
    with suppress(OSError, ValueError):  # the file is missing, or says "max"
        free = int((folder / limit).read_text()) - int((folder / use).read_text())
        yield free + sum(int(line.split()[1]) for line in _lines(folder / "memory.stat") if line.startswith(f"{idle} "))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
