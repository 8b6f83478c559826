"""The page in a real browser: Chromium, headless."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from hpo.networks.evaluation import evaluate_winner
from hpo.store.finals_file import packed
from hpo.store.journal import Journal
from hpo.store.stored_run import StoredRun
from hpo.trials.finalists import final_seeds
from hpo.trials.records import TrialState
from hpo.views.page.report import write_report
from tests.helpers.pages import EVIL, a_run, trial

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def a_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a run with trials of every state, finals, and names that are code."""
    records = [
        *(trial(number, model=EVIL if number % 5 == 0 else "cnn") for number in range(60)),
        trial(60, epochs=1, state=TrialState.STOPPED),
        trial(61, epochs=0, state=TrialState.FAILED, error=f"RuntimeError: {EVIL}", val_accuracy=None),
        trial(62, state=TrialState.DIVERGED, val_accuracy=None),
    ]
    spec = {"model": ["cnn", EVIL], "finalists": 60, "final_seeds": 3}
    run = a_run(tmp_path_factory.mktemp("page") / "<img src=x onerror=alert(1)>", records, spec=spec)
    _finals(run)
    path = run.path / "report.html"
    write_report(run, path, partial(evaluate_winner, run.path, None, ()))
    return path


def _finals(run: StoredRun) -> None:
    import numpy as np

    journal = Journal(run.path / "finals.jsonl")
    for number in (1, 5):
        right = np.random.default_rng(number).random((3, 100)) < 0.9
        seeds = list(final_seeds(0, 3))
        row = {"what": "tested", "trial_id": f"cnn-{number:04d}", "asked": seeds, "seeds": seeds}
        journal.append({**row, "images": 100, "right": [packed(one) for one in right]})
    journal.close()


class Visit:
    """A page, with what it complained of and what it asked for."""

    def __init__(self, browser: Browser, path: Path, **settings: Any) -> None:
        self.page: Page = browser.new_page(**settings)
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.faults.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector(".plot .main-svg")

    def column(self, name: str) -> list[str]:
        heads = self.page.locator("#all th").all_inner_texts()
        at = [head.strip(" ▲▼") for head in heads].index(name) + 1
        return self.page.locator(f"#all tbody tr:visible td:nth-child({at})").all_inner_texts()

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.page.close()


def test_it_draws_complains_of_nothing_and_asks_the_network_for_nothing(browser: Browser, a_page: Path) -> None:
    with Visit(browser, a_page, viewport={"width": 1280, "height": 900}) as visit:
        plots = visit.page.locator(".plot").count()
        assert plots == 8  # Pareto, curves, three of the one and two of the other architecture, times
        visit.page.wait_for_function(f"document.querySelectorAll('.plot .main-svg').length >= {plots}")
        points = visit.page.locator(".plot").first.locator(".scatterlayer .points path")
        assert points.count() == 61  # every usable trial
        assert visit.faults == []
        assert not [url for url in visit.asked if not url.startswith(("file:", "data:", "blob:"))]


def test_the_table_sorts_by_value_and_filters(browser: Browser, a_page: Path) -> None:
    with Visit(browser, a_page) as visit:
        assert visit.column("rank") == [str(number) for number in range(1, 64)]
        visit.page.get_by_role("button", name="lr", exact=True).click()
        rates = [float(text) for text in visit.column("lr") if text]
        assert rates == sorted(rates) and len(rates) == 63
        visit.page.get_by_role("button", name="validation accuracy", exact=True).click()
        visit.page.get_by_role("button", name="validation accuracy", exact=True).click()
        accuracies = visit.column("validation accuracy")
        given = [float(text) for text in accuracies if text != "-"]
        assert given == sorted(given, reverse=True) and accuracies[-2:] == ["-", "-"]  # what is missing stays last
        visit.page.get_by_label("filter the trials").fill("FAILED cnn-0061")
        assert visit.column("trial") == ["cnn-0061"] and "1 of 63" in visit.page.locator("#count").inner_text()
        assert visit.faults == []


def test_it_fits_a_phone_and_follows_the_colours_of_the_system(browser: Browser, a_page: Path) -> None:
    papers = set()
    for scheme in ("light", "dark"):
        with Visit(browser, a_page, viewport={"width": 390, "height": 844}, color_scheme=scheme) as visit:
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
            papers.add(visit.page.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert visit.faults == []
    assert len(papers) == 2
