"""The page in a real browser: Chromium, headless."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from hpo.__main__ import main
from hpo.networks.evaluation import evaluate_winner
from hpo.store.finals_file import packed
from hpo.store.journal import Journal
from hpo.store.stored_run import StoredRun
from hpo.trials.finalists import final_seeds
from hpo.trials.records import TrialState
from hpo.views.page.live import LivePage
from hpo.views.page.report import write_report
from hpo.views.page.training import write_training_page
from tests.helpers.pages import EVIL, a_run, a_training, trial
from tests.helpers.reports import epoch

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
        assert plots == 13  # two histories, Pareto, curves, two of the winner, three for each architecture, times
        visit.page.wait_for_function(f"document.querySelectorAll('.plot .main-svg').length >= {plots}")
        points = visit.page.locator(".plot").nth(2).locator(".scatterlayer .points path")
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


def test_conditions_filter_by_value(browser: Browser, a_page: Path) -> None:
    with Visit(browser, a_page) as visit:
        box = visit.page.get_by_label("filter the trials")
        box.fill("lr<0.01 state=completed")
        rates = [float(text) for text in visit.column("lr")]
        assert rates and max(rates) < 0.01 and set(visit.column("state")) == {"completed"}
        box.fill("lr>=0.01 state!=completed")
        assert set(visit.column("state")) <= {"stopped", "failed", "diverged"}
        box.fill("validation_accuracy>0.89")
        assert min(float(text) for text in visit.column("validation accuracy")) > 0.89
        box.fill("lr<x")  # no number
        assert visit.column("lr") == []
        box.fill("state")  # a word that no row has
        assert visit.column("trial") == []


def test_a_row_marks_its_trial_in_the_plots_by_click_and_by_key(browser: Browser, a_page: Path) -> None:
    marked = "plot.data.filter(trace => trace.name === 'marked').length"
    marks = f"Array.from(document.querySelectorAll('.plot > div')).map(plot => {marked})"
    with Visit(browser, a_page) as visit:
        visit.page.wait_for_function("document.querySelectorAll('.plot .main-svg').length >= 13")
        row = visit.page.locator("tr[data-trial=cnn-0001]")
        row.click()
        assert visit.page.evaluate(marks)[:4] == [1, 1, 1, 1]  # both histories, the front, the curves
        assert "marked" in (row.get_attribute("class") or "")
        other = visit.page.locator("tr[data-trial=cnn-0002]")
        other.focus()
        visit.page.keyboard.press("Enter")
        assert visit.page.evaluate(marks)[:4] == [1, 1, 1, 1] and visit.page.locator("tr.marked").count() == 1
        other.click()
        assert sum(visit.page.evaluate(marks)) == 0 and visit.page.locator("tr.marked").count() == 0
        assert visit.faults == []


def test_curves_can_be_seen_as_errors(browser: Browser, a_page: Path) -> None:
    axis = "document.querySelectorAll('.plot > div')[3].layout.yaxis"
    with Visit(browser, a_page) as visit:
        visit.page.wait_for_function("document.querySelectorAll('.plot .main-svg').length >= 13")
        assert visit.page.locator(".switch input").count() == 1
        visit.page.locator(".switch input").check()
        assert visit.page.evaluate(f"{axis}.type") == "log"
        assert visit.page.evaluate(f"{axis}.title.text") == "1 - validation accuracy"
        visit.page.locator(".switch input").uncheck()
        assert visit.page.evaluate(f"{axis}.type") in ("linear", None) and visit.faults == []


def test_the_headline_and_the_way_on_are_on_the_first_screen(browser: Browser, a_page: Path) -> None:
    with Visit(browser, a_page, viewport={"width": 1280, "height": 900}) as visit:
        for selector in (".won .value", ".commands li:last-child", "nav a:last-child"):
            box = visit.page.locator(selector).bounding_box()
            assert box and box["y"] + box["height"] < 900
        links = visit.page.locator("nav a")
        for number in range(links.count()):
            assert visit.page.locator(links.nth(number).get_attribute("href") or "").count() == 1
        visit.page.locator(".commands button").first.click()
        # The browser answers when it has the clipboard; the word stands for two seconds.
        word = "document.querySelector('.commands button').textContent"
        visit.page.wait_for_function(f"['copied', 'selected'].includes({word})")


CONTRASTS = """() => {
  const rgb = text => text.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = node => { for (; node; node = node.parentElement) {
    const [r, g, b, a] = rgb(getComputedStyle(node).backgroundColor); if (a !== 0) return [r, g, b]; } };
  const bad = [];
  for (const node of document.querySelectorAll("body *:not(script):not(style):not(svg *)")) {
    if (![...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim())) continue;
    const [one, other] = [light(rgb(getComputedStyle(node).color)), light(behind(node))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < 4.5) bad.push(`${node.tagName} ${node.className}: ${ratio.toFixed(2)}`);
  }
  return bad;
}"""


@pytest.fixture(scope="module", params=["training", "comparison"])
def another_page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a training, or of two runs."""
    folder = tmp_path_factory.mktemp("pages")
    if request.param == "training":
        training = a_training(folder / "net", [epoch(number, 0.5 + number / 20) for number in range(1, 6)])
        write_training_page(training, folder / "page.html", partial(evaluate_winner, folder / "net", None, ()))
        return folder / "page.html"
    runs = [a_run(folder / name, [trial(number) for number in range(9)]) for name in "ab"]
    words = ["compare", *(str(run.path) for run in runs), "--out", str(folder / "page.html")]
    assert main(words) == 0
    return folder / "page.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_other_pages_draw_fit_a_phone_and_can_be_read(browser: Browser, another_page: Path, scheme: str) -> None:
    with Visit(browser, another_page, viewport={"width": 390, "height": 844}, color_scheme=scheme) as visit:  # type: ignore[arg-type]
        plots = visit.page.locator(".plot").count()
        assert plots >= 2
        visit.page.wait_for_function(f"document.querySelectorAll('.plot .main-svg').length >= {plots}")
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert visit.page.evaluate(CONTRASTS) == [] and visit.faults == []
        links = visit.page.locator("nav a")
        for number in range(links.count()):
            assert visit.page.locator(links.nth(number).get_attribute("href") or "").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(browser: Browser, a_page: Path, scheme: str) -> None:
    with Visit(browser, a_page, color_scheme=scheme) as visit:
        visit.page.locator("tr[data-trial=cnn-0001]").click()
        assert visit.page.evaluate(CONTRASTS) == []


def test_what_a_phone_cuts_off_has_a_hint(browser: Browser, a_page: Path) -> None:
    cut = "e => e.scrollWidth > e.clientWidth + 1"
    for width in (390, 1280):
        with Visit(browser, a_page, viewport={"width": width, "height": 844}) as visit:
            visit.page.wait_for_function("document.querySelectorAll('.plot .main-svg').length >= 13")
            places = visit.page.locator(".scroll, .plot.wide").all()
            assert all(("cut" in (place.get_attribute("class") or "")) == place.evaluate(cut) for place in places)
            assert width == 1280 or visit.page.locator("#trials .scroll.cut").count() == 1


def test_it_fits_a_phone_and_follows_the_colours_of_the_system(browser: Browser, a_page: Path) -> None:
    papers = set()
    for scheme in ("light", "dark"):
        with Visit(browser, a_page, viewport={"width": 390, "height": 844}, color_scheme=scheme) as visit:
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
            papers.add(visit.page.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert visit.faults == []
    assert len(papers) == 2


def test_a_live_page_loads_itself_anew_and_says_when_the_run_has_ended(browser: Browser, tmp_path: Path) -> None:
    run = a_run(tmp_path / "a", [trial(0)], state="running")
    served = LivePage(run.path)
    Thread(target=served.serve_forever, args=(0.05,), daemon=True).start()
    page = browser.new_page()
    page.goto(served.url)
    expect(page.locator("body")).to_contain_text("cnn-0000")
    with (run.path / "trials.jsonl").open("a") as lines:
        lines.write(f"{json.dumps(trial(1).to_dict())}\n")
    expect(page.locator("body")).to_contain_text("cnn-0001", timeout=30_000)
    served.shutdown()
    served.server_close()
    expect(page.locator("body > p").first).to_have_text(re.compile("^The run has ended"), timeout=30_000)
    page.close()
