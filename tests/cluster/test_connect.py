from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cluster.connect import _answering, check_cluster

ROOT = Path(__file__).parents[2]


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
    assert "\n" not in str(caught.value) and str(caught.value).endswith("with: python cluster/local.py up")


def test_what_listens_is_taken_for_a_cluster() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert _answering(f"127.0.0.1:{server.getsockname()[1]}").endswith(str(server.getsockname()[1]))
