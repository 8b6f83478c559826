"""How much memory this machine has left, asked before much of it is taken."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from trainers.errors import DataError

NOTICED = 10**9  # bytes that images take before a user hears of it
# A byte as they are in the file, and four as the float32 that is trained on.
BYTES_OF_A_VALUE = 5
# Names of a control group's limit, use, and the part of its use that the kernel gives up for others.
_V2 = ("memory.max", "memory.current", "inactive_file")
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def check_images(where: str, count: int, shape: tuple[int, int, int]) -> str:
    """What a user must know of the memory that `count` images of `shape` (height, width, channels) take, or "".

    Raises ValueError, beginning with `where`, if that is more than there is.
    """
    height, width, channels = shape
    needed, free = count * height * width * channels * BYTES_OF_A_VALUE, available_bytes()
    images = f"{count:,} images of {width}x{height}x{channels}"
    if free is not None and needed > free:
        raise DataError(
            f"{where}: {images} need {gigabytes(needed)} of memory, {gigabytes(free)} are free; make them smaller"
        )
    return f"{images} take {gigabytes(needed)} of memory; smaller ones train faster" if needed > NOTICED else ""


def gigabytes(count: int) -> str:
    """10**9 bytes each, as a user reads them."""
    return f"{count / 1e9:,.1f} GB"


def available_bytes(root: Path = Path("/")) -> int | None:
    """Bytes of memory this process can still take: what the kernel says, within its control groups' limits.

    None where nothing says. root: where /proc and /sys are.
    """
    rooms = [*_of_machine(root), *_of_groups(root)]
    return max(0, min(rooms)) if rooms else None


def _of_machine(root: Path) -> Iterator[int]:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            yield 1024 * int(line.split()[1])
            return
    for pages in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"):  # other systems than Linux, of which macOS has the second
        with suppress(AttributeError, ValueError, OSError):
            yield os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
            return


def _of_groups(root: Path) -> Iterator[int]:
    """What the limits of this process's control groups, and of those around them, leave."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top, names = root / "sys/fs/cgroup", _V2
        if controllers:
            top, names = top / "memory", _V1
        group = PurePosixPath(path.lstrip("/"))
        for folder in (group, *group.parents):
            yield from _of_group(top / folder, names)


def _of_group(folder: Path, names: tuple[str, str, str]) -> Iterator[int]:
    limit, use, idle = names
    with suppress(OSError, ValueError):  # not there, or "max"
        room = int((folder / limit).read_text()) - int((folder / use).read_text())
        yield room + sum(int(line.split()[1]) for line in _lines(folder / "memory.stat") if line.startswith(f"{idle} "))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
