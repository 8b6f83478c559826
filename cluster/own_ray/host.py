"""The process that starts a Ray of our own, and ends it when the driver closes its standard input or dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    # As a script, cluster/own_ray/ itself leads sys.path; the root belongs there.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from cluster.host.processes import descendants, end_all

_FORK_SERVER = Path(__file__).with_name("fork_server.py")
_LAUNCHER = Path(__file__).with_name("launcher.py")


def main() -> int:
    """Reads the settings as one line of JSON, and says in another one where Ray can be joined."""
    settings = json.loads(sys.stdin.readline())
    os.umask(0o077)  # Ray writes its token and its logs readable for everyone
    folder = Path(settings["folder"])
    _start_fork_server(folder.parent / "forks", settings["preload"])

    # These import Ray, while the fork server imports what workers need.
    from cluster.own_ray.environments import serve_environments
    from cluster.ray_private import start_lean_head

    node = start_lean_head(settings["cpus"], folder, _LAUNCHER, serve_environments)
    print(json.dumps({"address": node.gcs_address}), flush=True)
    sys.stdin.read()
    end_all(descendants(os.getpid()), 0.0)  # nobody works in it any more, and all that it keeps is to be removed
    return 0


def _start_fork_server(address: Path, preload: list[str]) -> None:
    """Starts the process that workers are forks of, on Linux; elsewhere each worker is started as Ray does it."""
    if sys.platform != "linux":
        return
    os.environ["PODIUM_FORK_SERVER"] = str(address)  # the launchers inherit it
    command = [sys.executable, str(_FORK_SERVER), str(address), *preload]
    subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
