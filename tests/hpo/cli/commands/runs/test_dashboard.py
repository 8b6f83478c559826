from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from hpo.__main__ import main
from hpo.store.database.study_db import open_storage, open_study, quiet_optuna
from tests.helpers.pages import a_run, trial


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])


def test_its_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_run(tmp_path / "a", [trial(0)])
    a_run(tmp_path / "shared", [trial(0)], spec={"storage": "postgresql://user:***@host/db"})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for words, message in {
            "none": "not a run folder",
            f"a --port {port}": f"--port {port}: is in use",
            "a --port 0": "--port 0: is in use, or not between 1 and 65535",
            "shared": "optuna-dashboard URL",
        }.items():
            name, *flags = words.split()
            assert main(["dashboard", str(tmp_path / name), *flags]) == 2
            err = capsys.readouterr().err
            assert message in err and err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("listens_to_ctrl_c")
def test_a_study_is_served_until_ctrl_c(tmp_path: Path) -> None:
    run = a_run(tmp_path / "a", [trial(0)])
    with quiet_optuna():
        open_study(open_storage(f"sqlite:///{run.path}/study.db"), "cnn", resume=False)
    port = free_port()
    start = "from hpo.__main__ import main; raise SystemExit(main())"
    words = [sys.executable, "-c", start, "dashboard", str(tmp_path / "a"), "--port", str(port)]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        studies = json.loads(_answer(f"http://127.0.0.1:{port}/api/studies"))["study_summaries"]
        assert [study["study_name"] for study in studies] == ["cnn"]
        busy = [Thread(target=_ask_on, args=(f"http://127.0.0.1:{port}/api/studies",), daemon=True) for _ in range(4)]
        for browser in busy:
            browser.start()
        time.sleep(1)
    finally:
        server.send_signal(signal.SIGINT)
        out, err = server.communicate(timeout=30)
    assert f"a: http://127.0.0.1:{port}" in out and "Traceback" not in err


def _ask_on(url: str) -> None:
    """Without a pause, until nobody answers."""
    with suppress(OSError, HTTPException):
        while True:
            urlopen(url, timeout=5).read()


def _answer(url: str) -> bytes:
    until = time.monotonic() + 30
    while True:
        try:
            with urlopen(url, timeout=5) as answer:
                return bytes(answer.read())
        except URLError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
