"""Asks whether something listens at an address. Ray itself would try for minutes."""

from __future__ import annotations

import socket

PATIENCE_S = 4.0


def reach(address: str) -> None:
    """Returns if something listens at HOST:PORT; raises OSError or ValueError within seconds if not."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE_S).close()


def free_port() -> int:
    """Finds a port that nothing listens on."""
    with socket.create_server(("", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def answers(address: str) -> bool:
    """Whether something listens at HOST:PORT."""
    try:
        reach(address)
    except (OSError, ValueError):
        return False
    return True
