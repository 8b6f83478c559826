"""Real clusters of several nodes on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cluster.host.ports import free_port
from cluster.host.processes import descendants

ROOT = Path(__file__).parents[2]


@dataclass
class LocalCluster:
    """A cluster of `cluster/local.py` with a home, and so a token and the head's results, of its own."""

    home: Path
    nodes: int
    folder: Path
    port: int = field(default_factory=free_port)
    dashboard_port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.dashboard_port}"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Of a user of this cluster."""
        left_out = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS")
        return {**{k: v for k, v in os.environ.items() if k not in left_out}, "HOME": str(self.home)}

    def up(self) -> None:
        self._local("up", str(self.nodes), "--port", str(self.port), "--dashboard-port", str(self.dashboard_port))

    def down(self) -> None:
        self._local("down")

    def kill_node(self, number: int) -> None:
        """The node's raylet, and with it all workers there, by SIGKILL."""
        pid = json.loads((self.folder / "state.json").read_text())["nodes"][number]["pid"]
        self._kill(pid, "raylet/raylet")

    def kill_head(self) -> None:
        """What the cluster cannot do without."""
        pid = json.loads((self.folder / "state.json").read_text())["nodes"][0]["pid"]
        self._kill(pid, "gcs/gcs_server")

    def start(self, command: list[str], cwd: Path) -> subprocess.Popen[str]:
        """A command of a user: `hpo`, or a script of Podium's."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, *command], cwd=cwd, env=self.environment, stdout=pipe, stderr=pipe, text=True
        )

    def run(self, command: list[str], cwd: Path, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        process = self.start(command, cwd)
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def submit(self, *words: str) -> list[str]:
        return [str(ROOT / "cluster" / "submit.py"), "--address", self.url, *words]

    def hpo(self, *words: str) -> list[str]:
        """A command `hpo ...`, from whichever folder."""
        root = f"import sys; sys.path.insert(0, {str(ROOT)!r})"
        return ["-c", f"{root}; from hpo.__main__ import main; sys.exit(main(sys.argv[1:]))", *words]

    def _local(self, *words: str) -> None:
        command = [sys.executable, str(ROOT / "cluster" / "local.py"), "--dir", str(self.folder), *words]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def _kill(self, pid: int, name: str) -> None:
        (found,) = [p for p in descendants(pid) if name in Path(f"/proc/{p}/cmdline").read_text().split("\0")[0]]
        os.kill(found, signal.SIGKILL)


def make_cluster(home: Path, nodes: int) -> Iterator[LocalCluster]:
    cluster = LocalCluster(home, nodes, Path("/tmp") / f"podium-t{os.getpid()}-{free_port()}")  # short, for sockets
    cluster.up()
    try:
        yield cluster
    finally:
        cluster.down()


@pytest.fixture(scope="module")
def three_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """One cluster of three nodes for all tests of a file."""
    yield from make_cluster(tmp_path_factory.mktemp("home"), 3)


@pytest.fixture
def two_nodes(tmp_path: Path) -> Iterator[LocalCluster]:
    """A cluster that a test may break."""
    (tmp_path / "home").mkdir()
    yield from make_cluster(tmp_path / "home", 2)
