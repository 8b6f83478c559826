"""The driver's side: starts the host of a Ray of our own, waits until it can be joined, and ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from select import select
from typing import Any

from cluster.auth import own_token
from cluster.host.processes import descendants, end_all
from cluster.host.scratch import scratch_folder
from cluster.ray_environment import ENVIRONMENT

START_S = 120.0
END_S = 5.0  # for Ray's processes to end by themselves
_HOST = Path(__file__).with_name("host.py")
_LOG = "host.log"


@dataclass(frozen=True)
class OwnRay:
    """A Ray that starts, or has started, in processes of its own."""

    folder: Path
    """Ray's folder for temporary files."""
    host: subprocess.Popen[bytes]

    @cached_property
    def address(self) -> str:
        """HOST:PORT of its head; waits until Ray can be joined there.

        Raises ConnectionError, in one line, if it does not start.
        """
        output = self.host.stdout
        assert output is not None
        ready, _, _ = select([output], [], [], START_S)
        line = output.readline() if ready else b""
        if not line:
            raise ConnectionError(f"Ray does not start: {self._last_words()}")
        return str(json.loads(line)["address"])

    @property
    def is_alive(self) -> bool:
        """Whether it starts or runs."""
        return self.host.poll() is None

    def end(self) -> None:
        """Ends all its processes. A second call does nothing."""
        if not self.is_alive:
            return
        processes = [self.host.pid, *descendants(self.host.pid)]
        patience = END_S if self._is_joined else 0.0  # nobody works in one that nobody has joined
        assert self.host.stdin is not None
        with suppress(OSError):
            self.host.stdin.close()  # the host takes it as a sign, as it takes the end of this process
        end_all(processes, patience)
        self.host.wait()

    @property
    def _is_joined(self) -> bool:
        return "address" in vars(self)

    def _last_words(self) -> str:
        log = self.folder.parent / _LOG
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1][:300] if lines else f"no answer within {START_S:g} s"


@contextmanager
def own_ray(cpus: int | None, preload: Sequence[str] = ()) -> Iterator[OwnRay]:
    """Begins to start a Ray of `cpus` CPUs (default: all), and does not wait for it.

    preload: modules that each worker finds imported. Its processes end with this context, and its folder is removed.
    Raises ConnectionError if there is no folder for its temporary files.
    """
    own_token()
    with scratch_folder() as folder:
        ray = OwnRay(folder, _host(folder, {"folder": str(folder), "cpus": cpus, "preload": list(preload)}))
        try:
            yield ray
        finally:
            ray.end()


def _host(folder: Path, settings: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Starts the host, in a session of its own: a Ctrl-C in this terminal is for the driver alone."""
    environment = {**ENVIRONMENT, "RAY_AUTH_MODE": "token", **os.environ}
    with (folder.parent / _LOG).open("wb") as log:
        host = subprocess.Popen(
            [sys.executable, str(_HOST)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    assert host.stdin is not None
    with suppress(BrokenPipeError):  # what went wrong is in its log
        host.stdin.write(json.dumps(settings).encode() + b"\n")
        host.stdin.flush()
    return host
