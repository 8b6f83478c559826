"""Following a log that is read from its beginning each time, and fetching what is there."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from cluster.jobs import client
from cluster.jobs.client import Jobs, _Log


async def parts(*texts: str, silent: bool = False) -> AsyncIterator[str]:
    for text in texts:
        yield text
    if silent:
        await asyncio.sleep(60)


def test_each_part_is_shown_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SILENCE_S", 0.05)
    shown: list[str] = []
    log = _Log(shown.append)
    assert not asyncio.run(log.read(parts("one\n", "tw", silent=True)))
    assert not asyncio.run(log.read(parts("one\ntwo\n", silent=True)))
    assert asyncio.run(log.read(parts("on", "e\ntwo\nth", "ree\n")))
    assert "".join(shown) == "one\ntwo\nthree\n"


@pytest.mark.parametrize(
    ("status", "body", "found"), [(200, b"archive", b"archive"), (200, b"", None), (500, b"no such file", None)]
)
def test_an_archive_that_is_not_there_is_none(
    status: int, body: bytes, found: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dashboard(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    cluster = object.__new__(Jobs)
    monkeypatch.setattr(cluster, "status", lambda _: SimpleNamespace(driver_node_id="node"), raising=False)
    with http.server.HTTPServer(("127.0.0.1", 0), Dashboard) as server:
        cluster.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert cluster.fetch("job") == found
