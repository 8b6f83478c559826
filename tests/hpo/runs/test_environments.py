"""Runs in odd places: each works, or is one line before anything starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from cluster.host import scratch

ROOT = Path(__file__).parents[3]
LINE = "--model mlp_small --trials 1 --epochs 1 --dataset digits --finalists 0 --name a"


def run(tmp_path: Path, redirect: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    line = f"{sys.executable} hpo/run.py {LINE} --results-dir {tmp_path}/results {redirect}"
    return subprocess.run(
        ["bash", "-c", line], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system with no room left."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("redirect", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(tmp_path: Path, redirect: str) -> None:
    done = run(tmp_path, redirect)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(pd.read_csv(tmp_path / "results" / "a" / "trials.csv")) == 1


@pytest.mark.slow
def test_output_to_a_full_device_is_one_line_before_anything_starts(tmp_path: Path) -> None:
    done = run(tmp_path, "> /dev/full")
    assert done.returncode == 1 and "No space left on device" in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_an_encoding_without_our_letters_and_a_home_that_is_read_only(tmp_path: Path, small: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    done = run(tmp_path / "übung", HOME=str(small), **plain)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "\\xfcbung" in done.stdout
    assert len(pd.read_csv(tmp_path / "übung" / "results" / "a" / "trials.csv")) == 1


def test_ray_takes_another_folder_where_the_one_named_does_not_do(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 60)
    deep.mkdir()
    for place in (small, deep, tmp_path / "none"):
        monkeypatch.setenv("TMPDIR", str(place))
        assert scratch.find_base() in (Path("/tmp"), Path("/var/tmp"))


def test_no_folder_for_ray_at_all_is_one_line(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(small))
    monkeypatch.setattr(scratch, "OTHERS", ())
    monkeypatch.setattr(scratch, "MAX_BYTES", 1000)
    with pytest.raises(ConnectionError, match=r"no folder for temporary files: .* is full \(\d MiB are free\); name"):
        scratch.find_base()


def test_what_killed_runs_left_is_cleared_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "find_base", lambda: tmp_path)
    abandoned, foreign = tmp_path / f"{scratch.PREFIX}abandoned", tmp_path / f"{scratch.PREFIX}foreign"
    for folder in (abandoned, foreign):
        folder.mkdir(mode=0o700)
        (folder / "lock").touch()
    foreign.chmod(0o777)  # anybody may have made what is in it
    (tmp_path / f"{scratch.PREFIX}link").symlink_to(tmp_path)
    with scratch.scratch_folder() as first, scratch.scratch_folder() as second:
        assert first.is_dir() and second.is_dir() and not abandoned.exists() and foreign.exists()
        assert oct(first.parent.stat().st_mode & 0o777) == "0o700"
    assert {path.name.removeprefix(scratch.PREFIX) for path in tmp_path.iterdir()} == {"foreign", "link"}
