"""The cluster's side of a job, before it starts a run."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.jobs import head


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_python_without_what_a_run_needs_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "_podium").mkdir()
    (tmp_path / "_podium" / "flags.json").write_text("[]")
    (tmp_path / "_podium" / "requirements.json").write_text(json.dumps(["torch", "no-such-library"]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    assert head.main(["job", "run"]) == 2
    out = capsys.readouterr().out
    assert out.startswith("hpo: the head's Python (Python 3") and out.count("\n") == 1
    assert out.endswith("lacks no-such-library: install Podium's requirements on all nodes\n")
