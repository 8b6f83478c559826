"""The start and the end of a Ray of our own, and what is left of it when somebody dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.host.processes import descendants, is_running, wait_until
from cluster.own_ray.starting import own_ray
from tests.helpers.runs import command

pytestmark = pytest.mark.slow

# A driver that says its host's process, its Ray's folder and its worker's parent, and waits for its standard input.
DRIVER = """if True:
    import os, ray, sys
    from cluster.connect import begun, connect
    with begun(1, sys.argv[1:]) as own, connect(None, 1, own=own):
        parent = ray.get(ray.remote(lambda: os.getppid()).remote())
        print(own.host.pid, own.folder, parent, flush=True)
        sys.stdin.read()
"""


@contextmanager
def a_driver(*preload: str) -> Iterator[tuple[subprocess.Popen[str], list[int], Path, str]]:
    """The driver, the processes of its Ray, their folder, and the command that its worker is a child of."""
    line = [sys.executable, "-c", DRIVER, *preload]
    driver = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert driver.stdout is not None
        host, folder, parent = driver.stdout.readline().split()
        yield driver, [int(host), *descendants(int(host))], Path(folder), command(int(parent))
    finally:
        driver.kill()
        driver.communicate()


def test_its_end_leaves_no_process_and_no_folder() -> None:
    with a_driver("colorsys") as (driver, processes, folder, parent):
        assert "fork_server.py" in parent
        driver.communicate("")
        assert driver.returncode == 0
        assert not any(map(is_running, processes)) and not folder.parent.exists()


def test_nothing_outlives_a_driver_that_is_killed() -> None:
    with a_driver("colorsys") as (driver, processes, _, _):
        driver.kill()
        assert wait_until(lambda: not any(map(is_running, processes)), 20.0)


def test_nothing_is_left_where_the_host_is_killed() -> None:
    with a_driver("colorsys") as (driver, processes, folder, _):
        os.kill(processes[0], signal.SIGKILL)
        driver.communicate("", timeout=60.0)
        assert wait_until(lambda: not any(map(is_running, processes)), 20.0) and not folder.parent.exists()


def test_where_the_fork_server_fails_a_worker_is_started_as_ray_does_it() -> None:
    with a_driver("no_such_module") as (_, _, _, parent):
        assert "fork_server.py" not in parent


def test_one_that_nobody_joins_ends_while_it_starts() -> None:
    with own_ray(1) as own:
        assert wait_until(lambda: bool(descendants(own.host.pid)), 20.0)
        processes = [own.host.pid, *descendants(own.host.pid)]
    assert not any(map(is_running, processes)) and not own.folder.parent.exists()


def test_one_that_cannot_start_says_why_in_one_line() -> None:
    with own_ray(cpus=-1) as own, pytest.raises(ConnectionError, match="Ray does not start: ValueError: ") as caught:
        _ = own.address
    assert "\n" not in str(caught.value)
