from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainers.data.free_memory import available_bytes, check_images, gigabytes

MEMINFO = "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB\n"


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def group(folder: str, limit: str, use: int, idle: int, version: int = 2) -> dict[str, str]:
    """A control group's files, as either version of the kernel's has them."""
    names = ("memory.max", "memory.current", "inactive_file")
    if version == 1:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    stat = f"anon 5\n{names[2]} {idle}\ntotal_active_file 7\n"
    return {f"{folder}/{names[0]}": limit, f"{folder}/{names[1]}": f"{use}\n", f"{folder}/memory.stat": stat}


V1, V2 = "sys/fs/cgroup/memory", "sys/fs/cgroup"
MACHINES = {
    "no groups": ({}, 8_192_000_000),
    "no limit": ({"proc/self/cgroup": "0::/a\n", **group(f"{V2}/a", "max\n", 1, 0)}, 8_192_000_000),
    "a limit": ({"proc/self/cgroup": "0::/a/b\n", **group(f"{V2}/a/b", "5000\n", 3000, 500)}, 2500),
    "a limit around it": ({"proc/self/cgroup": "0::/a/b\n", **group(f"{V2}/a", "5000\n", 3000, 500)}, 2500),
    "a container": ({"proc/self/cgroup": "0::/\n", **group(V2, "5000\n", 3000, 0)}, 2000),
    "an older kernel": (
        {"proc/self/cgroup": "5:cpu:/x\n4:memory:/a\n0::/\n", **group(f"{V1}/a", "5000", 3000, 1000, version=1)},
        3000,
    ),
    "a container on an older kernel": (
        {"proc/self/cgroup": "4:memory:/docker/1f\n", **group(V1, "5000", 3000, 0, version=1)},
        2000,
    ),
    "a limit that is passed": ({"proc/self/cgroup": "0::/\n", **group(V2, "5000\n", 6000, 0)}, 0),
}


@pytest.mark.parametrize("kind", MACHINES)
def test_what_the_machine_and_its_groups_leave(kind: str, tmp_path: Path) -> None:
    files, expected = MACHINES[kind]
    assert available_bytes(written(tmp_path, {"proc/meminfo": MEMINFO, **files})) == expected


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"SC_AVPHYS_PAGES": 100, "SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}, 409_600),
        ({"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 16384}, 16_384_000),
        ({}, None),
    ],
)
def test_other_systems_are_asked_otherwise(
    answers: dict[str, int], expected: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sysconf(name: str) -> int:
        if name not in answers:
            raise ValueError("unrecognized configuration name")
        return answers[name]

    monkeypatch.setattr(os, "sysconf", sysconf, raising=False)
    assert available_bytes(tmp_path) == expected


def test_here_is_some() -> None:
    room = available_bytes()
    assert room is None or 10**6 < room < 10**14


def test_what_images_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainers.data.free_memory.available_bytes", lambda: 6 * 10**9)
    photos = "30 images of 4000x3000x3"
    notice = check_images("--dataset photos", 30, (3000, 4000, 3))
    assert notice == f"{photos} take 2.2 GB of memory; smaller images train faster"
    assert check_images("--dataset photos", 30, (30, 40, 3)) == ""
    monkeypatch.setattr("trainers.data.free_memory.available_bytes", lambda: 12 * 10**8)
    with pytest.raises(ValueError, match="--dataset photos: ") as caught:
        check_images("--dataset photos", 30, (3000, 4000, 3))
    expected = f"--dataset photos: {photos} need 2.2 GB of memory, only 1.2 GB are free; use smaller images"
    assert str(caught.value) == expected and gigabytes(1_250_000_000_000) == "1,250.0 GB"
    monkeypatch.setattr("trainers.data.free_memory.available_bytes", lambda: None)
    assert "2.2 GB" in check_images("--dataset photos", 30, (3000, 4000, 3))
