"""hpo watch and --live: the page while a run works, and its end."""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from queue import Queue
from urllib.request import urlopen

import pytest

from hpo.__main__ import main
from hpo.views.page.live import serve_live_page
from tests.helpers.pages import a_run, trial


def test_a_run_that_has_ended_has_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_run(tmp_path / "a", [trial(0)])
    assert main(["watch", str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out == f"a: nothing works on it; hpo report {tmp_path / 'a'} makes its page\n"
    (tmp_path / "a" / "report.html").touch()
    assert main(["watch", str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out == f"a: nothing works on it; its page: {tmp_path / 'a' / 'report.html'}\n"
    assert main(["watch", "none"]) == 2 and "not a run folder" in capsys.readouterr().err


def test_a_port_that_cannot_be_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = a_run(tmp_path / "a", [trial(0)], state="running")
    with (run.path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(["watch", str(run.path), "--port", "70000"]) == 2
    assert capsys.readouterr().err == "hpo: --port 70000: is not between 0 and 65535\n"


@pytest.mark.slow
def test_a_page_that_cannot_be_served_is_told(tmp_path: Path) -> None:
    heard: Queue[str] = Queue()
    serve_live_page(tmp_path / "none", heard.put)
    assert "live:    the page is not served (hpo: " in heard.get(timeout=60)


@pytest.mark.slow
def test_the_page_of_a_run_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").touch()  # the user's own, beside Podium's
    monkeypatch.chdir(tmp_path)
    run = a_run(tmp_path / "a", [trial(0)], state="running")
    heard: Queue[str] = Queue()
    with (run.path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        serve_live_page(run.path, heard.put)
        words, url = heard.get(timeout=60).split()
        assert words == "live:" and url.startswith("http://127.0.0.1:")
        with urlopen(url, timeout=60) as answer:
            assert b"cnn-0000" in answer.read()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            urlopen(f"{url}version", timeout=20).close()
        except OSError:  # refused, or reset while it ends
            return
        time.sleep(0.2)
    pytest.fail("the page is still served")
