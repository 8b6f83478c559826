from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from cluster.connect import _answering, check_cluster

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:9", r"--address 127\.0\.0\.1:9: no Ray cluster answers there"),
        ("nonsense", "--address nonsense: no Ray cluster answers there"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_line_at_once(address: str, message: str) -> None:
    with pytest.raises(ConnectionError, match=message) as caught:
        check_cluster(address)
    assert "\n" not in str(caught.value)


def test_what_listens_is_taken_for_a_cluster() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert _answering(f"127.0.0.1:{server.getsockname()[1]}").endswith(str(server.getsockname()[1]))


@pytest.mark.slow
def test_a_run_on_a_cluster(tmp_path: Path) -> None:
    """`--address` joins a cluster that was started apart, and leaves it running."""
    environment = {**os.environ, "HOME": str(tmp_path), "RAY_AUTH_MODE": "token"}
    ray = Path(sys.executable).with_name("ray")
    temp = Path("/tmp") / f"podium-{os.getpid()}"  # Ray's sockets need a short path
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("0123456789abcdef" * 4)
    token.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    head = [str(ray), "start", "--head", f"--port={port}", "--num-cpus=2", "--include-dashboard=false", "--block"]
    head += ["--object-store-memory=200000000", f"--temp-dir={temp}"]
    log = (tmp_path / "head.log").open("w")
    cluster = subprocess.Popen(head, env=environment, stdout=log, stderr=log)
    try:
        wait = [sys.executable, "-c", f"import socket; socket.create_connection(('127.0.0.1', {port}))"]
        for _ in range(100):
            if subprocess.run(wait, capture_output=True).returncode == 0:
                break
        line = f"hpo/run.py --address 127.0.0.1:{port} --model mlp_small --trials 4 --epochs 2 --dataset digits --quiet"
        command = [sys.executable, *line.split(), "--name", "a", "--results-dir", str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert len(pd.read_csv(tmp_path / "a" / "trials.csv")) == 4
        assert cluster.poll() is None
    finally:
        cluster.terminate()
        cluster.wait(30)
