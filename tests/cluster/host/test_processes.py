"""Processes that are found and ended."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from cluster.host.processes import born, descendants, end_all, is_running, send, stat_fields, wait_until

PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has a child."""
    process = subprocess.Popen([sys.executable, "-c", PARENT])
    yield process
    for pid in (*descendants(process.pid), process.pid):
        send(pid, signal.SIGKILL)
    process.wait()


def test_children_are_found_and_ended(parent: subprocess.Popen[bytes]) -> None:
    assert wait_until(lambda: len(descendants(parent.pid)) == 1, 20)
    (child,) = descendants(parent.pid)
    assert is_running(child) and born(child) >= born(parent.pid) > 0
    end_all([parent.pid, child], 0.1)
    assert not is_running(parent.pid) and not is_running(child)


def test_nothing_is_there_of_a_process_that_has_ended() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert (born(done.pid), is_running(done.pid), stat_fields(done.pid), descendants(done.pid)) == (0, False, [], [])
    send(done.pid, signal.SIGTERM)
    end_all([done.pid], 5)


def test_waiting_ends_with_the_time() -> None:
    begin = time.monotonic()
    assert not wait_until(lambda: False, 0.1, pause=0.01)
    assert 0.1 <= time.monotonic() - begin < 5
