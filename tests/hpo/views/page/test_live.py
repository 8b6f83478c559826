"""The page of a run that works: who gets it, and when it is another one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from hpo.views.page import live
from hpo.views.page.live import LivePage
from tests.helpers.pages import a_run, trial


@pytest.fixture
def page(tmp_path: Path) -> Iterator[LivePage]:
    a_run(tmp_path / "a", [trial(0)], state="running", trials={"completed": 7})  # of an earlier session
    served = LivePage(tmp_path / "a")
    Thread(target=served.serve_forever, args=(0.05,), daemon=True).start()
    yield served
    served.shutdown()


def text(url: str) -> str:
    with urlopen(url, timeout=20) as answer:
        found: str = answer.read().decode()
    return found


def add_a_trial(page: LivePage, number: int) -> None:
    journal = page.folder / "trials.jsonl"
    before = journal.stat().st_mtime_ns
    with journal.open("a") as lines:
        lines.write(f"{json.dumps(trial(number).to_dict())}\n")
    os.utime(journal, ns=(before + 10**9, before + 10**9))


def test_the_page_is_another_one_when_a_trial_has_ended(page: LivePage, monkeypatch: pytest.MonkeyPatch) -> None:
    made, render = [], live.render
    monkeypatch.setattr(live, "render", lambda *words: made.append(1) or render(*words))
    first, version = text(page.url), text(f"{page.url}version")
    assert "cnn-0000" in first and "cnn-0001" not in first and f'"{version}"' in first
    assert text(page.url) == first and len(made) == 1
    add_a_trial(page, 1)
    assert text(f"{page.url}version") != version
    assert "cnn-0001" in text(page.url) and len(made) == 2


def test_it_says_nothing_of_an_end_that_has_not_come(page: LivePage) -> None:
    html = text(page.url)
    assert "cnn-0000 leads so far" in html and " won" not in html and "1 completed" in html
    assert "What next" not in html and "hpo evaluate" not in html and "hpo run --resume" not in html


def test_it_may_ask_its_own_server_and_nobody_else(page: LivePage) -> None:
    html = text(page.url)
    assert "default-src 'none'; connect-src 'self'; script-src" in html
    assert html.count('await fetch("version")') == 1 and "the page at its end has it" in html


@pytest.mark.parametrize("path", ["", "version", "TOKEN", "TOKEN/other", "x/TOKEN/"])
def test_without_the_token_there_is_nothing(page: LivePage, path: str) -> None:
    root = page.url.removesuffix(f"{page.token}/")
    with pytest.raises(HTTPError, match="404"):
        text(root + path.replace("TOKEN", page.token))
    assert page.server_address[0] == "127.0.0.1" and len(page.token) >= 20


def test_each_page_has_a_token_of_its_own(page: LivePage) -> None:
    other = LivePage(page.folder)
    other.server_close()
    assert other.token != page.token
    with pytest.raises(OSError, match="in use"):
        LivePage(page.folder, int(page.server_address[1]))
