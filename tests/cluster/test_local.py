"""A cluster of several nodes on one machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from cluster.auth import ensure_token
from cluster.local import main

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a token."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    return tmp_path


@pytest.fixture
def folder() -> Iterator[str]:
    """A place for the cluster, short because of Ray's sockets; whatever runs in it is ended."""
    path = f"/tmp/podium-test-{os.getpid()}"
    yield path
    main(["--dir", path, "down"])


def test_the_token_is_its_owners_alone(home: Path) -> None:
    path = ensure_token()
    token = path.read_text()
    assert path == home / ".ray" / "auth_token" and len(token) == 64 and path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    assert ensure_token().read_text() == token and path.stat().st_mode & 0o777 == 0o600


def test_wrong_input_and_none_there(home: Path, folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dir", folder, "status"]) == 1 and main(["--dir", folder, "down"]) == 0
    assert capsys.readouterr().out == "there is no cluster\nthere was no cluster\n"
    assert main(["--dir", folder, "up", "0"]) == 2
    assert capsys.readouterr().err == "cluster: up 0 --cpus 1: must be at least 1\n"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        assert main(["--dir", folder, "up", "1", "--port", port]) == 2
        assert capsys.readouterr().err == f"cluster: --port {port}: something else listens there; choose another one\n"
    assert not Path(folder).exists()


def test_a_process_that_took_over_a_nodes_number_is_left_alone(folder: str) -> None:
    Path(folder).mkdir()
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        state = f'{{"port": 1, "dashboard_port": 2, "nodes": [{{"pid": {other.pid}, "born": 1}}]}}'
        (Path(folder) / "state.json").write_text(state)
        assert main(["--dir", folder, "status"]) == 1 and main(["--dir", folder, "down"]) == 0
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def processes(folder: str) -> list[str]:
    """Command lines that name the cluster's folder."""
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        lines += [line] if f"{folder}/" in line else []
    return lines


@pytest.mark.slow
def test_a_cluster_comes_up_is_used_and_goes(home: Path, folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    port, dashboard = free_port(), free_port()
    up = ["--dir", folder, "up", "2", "--port", str(port), "--dashboard-port", str(dashboard)]
    assert main(up) == 0, capsys.readouterr().err
    assert f"hpo/run.py --address 127.0.0.1:{port}" in capsys.readouterr().out
    assert main(["--dir", folder, "status"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2 of 2 nodes run",
        f"head: 127.0.0.1:{port} answers",
        f"dashboard: 127.0.0.1:{dashboard} answers",
    ]
    assert main(up) == 2 and "there is a cluster already" in capsys.readouterr().err
    assert len(processes(folder)) >= 4
    line = f"hpo/run.py --address 127.0.0.1:{port} --model mlp_small --trials 4 --epochs 2 --dataset digits --quiet"
    line += " --finalists 0"
    command = [sys.executable, *line.split(), "--name", "a", "--results-dir", str(home)]
    environment = {**os.environ, "RAY_AUTH_MODE": "token"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert len(pd.read_csv(home / "a" / "trials.csv")) == 4
    assert main(["--dir", folder, "down"]) == 0 and capsys.readouterr().out == "ended 2 nodes\n"
    assert processes(folder) == [] and not Path(folder).exists()
    assert main(["--dir", folder, "status"]) == 1
