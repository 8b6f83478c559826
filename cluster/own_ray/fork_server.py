"""The process that workers are forks of. It has imported what each of them needs, and none imports it again.

`fork_server.py ADDRESS MODULE ...` listens at ADDRESS, a Unix socket, from the first moment; it answers when it has
imported the modules. It has one thread, and ends with the process that started it.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import runpy
import signal
import socket
import sys
from array import array
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # As a script, cluster/own_ray/ itself leads sys.path; the root belongs there.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

Request = dict[str, Any]
_PR_SET_PDEATHSIG = 1
_STANDARD = (0, 1, 2)


def main(address: str, modules: Sequence[str]) -> None:
    """Serves until it is killed. In a fork it returns when the worker's program has ended."""
    _end_with_parent()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen(128)
        _import(modules)
        request, files = _serve(server)
    _become(request, files)


def _end_with_parent() -> None:
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended just before
        sys.exit(1)


def _import(modules: Sequence[str]) -> None:
    os.environ.update(
        # Ray's C++ code reads these once, when it is loaded, and before there is a job or a raylet.
        RAY_JOB_ID="ffffffff",  # no job, as for any worker that starts before there is a task for it
        RAY_RAYLET_PID=str(os.getppid()),  # a worker ends when this process does: the host, which a raylet ends with
        # Threads do not outlive a fork: pyarrow's allocator starts one.
        ARROW_DEFAULT_MEMORY_POOL="system",
    )
    from cluster import ray_private

    ray_private.import_worker()
    with ray_private.actors_of_urandom():
        for module in modules:
            import_module(module)
    gc.collect()
    gc.freeze()  # what is here now is shared by all forks, as long as the collector does not touch it


def _serve(server: socket.socket) -> tuple[Request, list[int]]:
    """Makes one fork for each request; returns in each fork, with its request and its three standard files."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks; their end is the raylet's matter
    while True:
        client, _ = server.accept()
        with client:
            request, files = _receive(client)
            if request and _is_fork(client):
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                return request, files
        for file in files:
            os.close(file)


def _receive(client: socket.socket) -> tuple[Request, list[int]]:
    """One request and its files; an empty one where the launcher is gone."""
    client.settimeout(5.0)
    message, files = b"", array("i")
    try:
        while not message.endswith(b"\n"):
            room = socket.CMSG_SPACE(len(_STANDARD) * files.itemsize)
            part, received, _, _ = client.recvmsg(1 << 16, room)
            for level, kind, content in received:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    files.frombytes(content)
            if not part:
                return {}, list(files)
            message += part
    except OSError:
        return {}, list(files)
    return json.loads(message), list(files)


def _is_fork(client: socket.socket) -> bool:
    """Tells the launcher that its worker is made, and makes it. Not where the launcher has given up: its worker would
    be there twice."""
    try:
        client.sendall(b"1")
    except OSError:
        return False
    return os.fork() == 0


def _become(request: Request, files: list[int]) -> None:
    """Takes over what the launcher would have handed on to its child, and runs the worker's program."""
    os.setpgid(0, 0)  # the raylet ends a worker's whole group
    for standard, file in zip(_STANDARD, files, strict=True):
        os.dup2(file, standard)
        os.close(file)
    Path("/proc/self/oom_score_adj").write_text(str(request["oom_score_adj"]))
    resource.setrlimit(resource.RLIMIT_NOFILE, tuple(request["open_files"]))
    signal.pthread_sigmask(signal.SIG_SETMASK, request["blocked"])
    os.umask(request["umask"])
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    _reseed()
    from cluster.ray_private import reread_environment

    reread_environment()
    sys.argv = request["arguments"]
    program = sys.argv[0]
    sys.path[0] = str(Path(program).parent)
    runpy.run_path(program, run_name="__main__")


def _reseed() -> None:
    """Gives this fork random numbers of its own. Python does so for `random`."""
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
