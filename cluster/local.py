"""A Ray cluster of several nodes on one machine, to try things out: `python cluster/local.py up 3`.

Every node is a set of real Ray processes (the first one also runs the head and its dashboard), joined over the
loopback and behind a token. `down` ends the processes that `up` started, and no other.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # As a script, cluster/ itself leads sys.path; the root belongs there.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from cluster.auth import ensure_token, token_file
from cluster.errors import BAD_INPUT, FAILED, ClusterError
from cluster.host import place
from cluster.host.ports import answers, free_port
from cluster.host.processes import born, descendants, is_running, send, wait_until

PORT, DASHBOARD_PORT = 6379, 8265
START_S, END_S = 120.0, 15.0
OBJECT_STORE_BYTES = 300_000_000


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    options = _parser().parse_args(argv)
    try:
        if options.command == "up":
            return up(options.dir, options.nodes, options.cpus, (options.port, options.dashboard_port))
        return down(options.dir) if options.command == "down" else status(options.dir)
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return BAD_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python cluster/local.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--dir", type=Path, default=_folder(), help="folder of its state and logs (default: %(default)s)"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("up", help="start a cluster")
    starting.add_argument("nodes", type=int, help="how many nodes")
    starting.add_argument("--cpus", type=int, default=1, help="CPUs of each node (default: %(default)s)")
    starting.add_argument("--port", type=int, default=PORT, help="port of the head (default: %(default)s)")
    starting.add_argument(
        "--dashboard-port", type=int, default=DASHBOARD_PORT, help="port of the dashboard (default: %(default)s)"
    )
    commands.add_parser("down", help="end the cluster")
    commands.add_parser("status", help="say which nodes run")
    return parser


def _folder() -> Path:
    # Short, because Ray makes sockets in it whose paths may have 107 characters.
    return Path("/tmp") / f"podium-cluster-{os.getuid()}"


def up(folder: Path, nodes: int, cpus: int, ports: tuple[int, int]) -> int:
    """Starts a cluster and waits until all its nodes have joined.

    Raises ClusterError if there is one in `folder`, or something that is not a cluster's, a port is taken, or a node
    does not come up; nothing is left then.
    """
    if not Path("/proc/self/stat").exists():
        raise ClusterError("up: needs Linux, whose /proc tells the cluster's processes from others")
    if find_spec("aiohttp") is None:
        raise ClusterError('up: the dashboard is not installed; install it with: pip install -e ".[cluster]"')
    if nodes < 1 or cpus < 1:
        raise ClusterError(f"up {nodes} --cpus {cpus}: must be at least 1")
    if _alive(folder):
        raise ClusterError(f"up: there is a cluster already in {folder}; end it with: python cluster/local.py down")
    for flag, port in zip(("--port", "--dashboard-port"), ports, strict=True):
        if answers(f"127.0.0.1:{port}"):
            raise ClusterError(f"{flag} {port}: something else listens there; choose another one")
    ensure_token()
    place.remove(folder)
    place.make(folder, _state(ports, []))
    try:
        _start_all(folder, nodes, cpus, ports)
    except BaseException:
        down(folder, quiet=True)
        raise
    print(f"{nodes} nodes of {cpus} CPU{'s' if cpus > 1 else ''}, logs in {folder}")
    print(f"submit:    hpo submit --address http://127.0.0.1:{ports[1]} -- --model cnn --trials 50")
    print(f"or join:   python hpo/run.py --address 127.0.0.1:{ports[0]} --model cnn --trials 50")
    print(f"look:      http://127.0.0.1:{ports[1]}, with the token in {token_file()}")
    print("end it:    python cluster/local.py down")
    return 0


def down(folder: Path, quiet: bool = False) -> int:
    """Ends every process that `up` started; 0 also where there is none. ClusterError as `place.read_state`."""
    processes = _alive(folder)
    families = [family for pid in processes for family in (pid, *descendants(pid))]
    for pid in reversed(processes):  # the head last
        send(pid, signal.SIGTERM)
    wait_until(lambda: not any(is_running(pid) for pid in families), END_S)
    for pid in families:
        send(pid, signal.SIGKILL)
    place.remove(folder)
    if not quiet:
        print(f"ended {len(processes)} nodes" if processes else "there was no cluster")
    return 0


def status(folder: Path) -> int:
    """Says what is there; 0 for a cluster, FAILED for none. ClusterError as `place.read_state`."""
    alive = _alive(folder)
    if not alive:
        print("there is no cluster")
        return FAILED
    state = place.read_state(folder)
    address, dashboard = f"127.0.0.1:{state['port']}", f"127.0.0.1:{state['dashboard_port']}"
    print(f"{len(alive)} of {len(state['nodes'])} nodes run")
    for what, at in (("head", address), ("dashboard", dashboard)):
        print(f"{what}: {at} {'answers' if answers(at) else 'does not answer'}")
    return 0


def _start_all(folder: Path, nodes: int, cpus: int, ports: tuple[int, int]) -> None:
    port, dashboard = ports
    common = [f"--num-cpus={cpus}", f"--object-store-memory={OBJECT_STORE_BYTES}", "--disable-usage-stats", "--block"]
    head = ["--head", f"--port={port}", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"]
    head += ["--include-dashboard=true"]
    started: list[dict[str, int]] = []

    def start(arguments: list[str]) -> subprocess.Popen[bytes]:
        # As on machines of their own: a shared folder's packages would be replaced under a running job, and of agents
        # that share a port one works.
        own = [f"--temp-dir={folder / f'ray-{len(started)}'}", f"--dashboard-agent-listen-port={free_port()}"]
        process = _start_node(folder / f"node-{len(started)}.log", [*arguments, *common, *own])
        started.append({"pid": process.pid, "born": born(process.pid)})
        place.write_state(folder, _state(ports, started))
        return process

    first = start(head)
    places = (f"127.0.0.1:{port}", f"127.0.0.1:{dashboard}")
    if (
        not wait_until(lambda: first.poll() is not None or all(map(answers, places)), START_S)
        or first.poll() is not None
    ):
        raise ClusterError(f"up: the head does not start: {_last_line(folder / 'node-0.log')}")
    # One after another: nodes that start at once on one machine were seen to take each other's ports.
    for number in range(1, nodes):
        if not _joins(start([f"--address=127.0.0.1:{port}"]), log := folder / f"node-{number}.log"):
            raise ClusterError(f"up: node {number} does not join: {_last_line(log)}")


def _joins(process: subprocess.Popen[bytes], log: Path) -> bool:
    def has_joined() -> bool:
        return b"--block" in log.read_bytes()  # the first word of the last thing it says

    wait_until(lambda: process.poll() is not None or has_joined(), START_S)
    return process.poll() is None and has_joined()


def _start_node(log: Path, arguments: list[str]) -> subprocess.Popen[bytes]:
    """`ray start` in a session of its own, so that a Ctrl-C in this terminal is not the cluster's."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *arguments]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # a job's `python` is this one
    environment = {**os.environ, "PATH": path, "RAY_AUTH_MODE": "token", "RAY_memory_monitor_refresh_ms": "0"}
    with log.open("wb") as file:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


def _state(ports: tuple[int, int], nodes: list[dict[str, int]]) -> dict[str, Any]:
    return {"port": ports[0], "dashboard_port": ports[1], "nodes": nodes}


def _alive(folder: Path) -> list[int]:
    """The nodes' processes that still run. A number that another process has by now is not one of them."""
    nodes = place.read_state(folder)["nodes"]
    return [node["pid"] for node in nodes if is_running(node["pid"]) and born(node["pid"]) == node["born"] > 0]


if __name__ == "__main__":
    sys.exit(main())
