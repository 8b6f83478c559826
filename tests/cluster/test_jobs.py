"""Following a log that is read from its beginning each time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from cluster import jobs
from cluster.jobs import _Log


async def parts(*texts: str, silent: bool = False) -> AsyncIterator[str]:
    for text in texts:
        yield text
    if silent:
        await asyncio.sleep(60)


def test_each_part_is_shown_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "SILENCE_S", 0.05)
    shown: list[str] = []
    log = _Log(shown.append)
    assert not asyncio.run(log.read(parts("one\n", "tw", silent=True)))
    assert not asyncio.run(log.read(parts("one\ntwo\n", silent=True)))
    assert asyncio.run(log.read(parts("on", "e\ntwo\nth", "ree\n")))
    assert "".join(shown) == "one\ntwo\nthree\n"
