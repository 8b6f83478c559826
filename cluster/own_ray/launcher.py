"""Starts one worker for the raylet: as a fork of the fork server, or in the way of Ray where there is none.

Runs once for each worker: it imports little, and nothing of Podium.
"""

import array
import json
import os
import resource
import signal
import socket
import sys
from importlib.util import find_spec

PATIENCE_S = 45.0  # the raylet gives a worker up after 60 s
_STANDARD = (0, 1, 2)


def main() -> None:
    """Ends when the fork server has made the worker; becomes the worker where it has not."""
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--language=")]
    address = os.environ.get("PODIUM_FORK_SERVER")
    if not (address and "--runtime-env-hash=0" in arguments and _is_forked(address, arguments)):
        _become_worker()


def _is_forked(address: str, arguments: list[str]) -> bool:
    """Hands the server all that a child of this process would inherit; returns whether it has made the worker."""
    inherited = {
        "arguments": arguments,
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "umask": _umask(),
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "oom_score_adj": int(_text("/proc/self/oom_score_adj")),
        "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    }
    message = json.dumps(inherited).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.settimeout(PATIENCE_S)
            server.connect(address)
            files = array.array("i", _STANDARD)
            server.sendmsg([message[:1]], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
            server.sendall(message[1:])
            return server.recv(1) == b"1"
    except OSError:
        return False


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _text(path: str) -> str:
    with open(path) as file:
        return file.read()


def _become_worker() -> None:
    """Becomes the program that Ray itself starts here."""
    spec = find_spec("ray")
    assert spec is not None and spec.origin is not None
    program = os.path.join(os.path.dirname(spec.origin), "_private", "workers", "setup_worker.py")
    os.execv(sys.executable, [sys.executable, program, *sys.argv[1:]])


if __name__ == "__main__":
    main()
