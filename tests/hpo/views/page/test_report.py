"""The page of a run, from files as a run leaves them."""

from __future__ import annotations

import json
import re
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from hpo.networks.evaluation import evaluate_winner
from hpo.store.finals_file import packed
from hpo.store.journal import Journal
from hpo.store.stored_run import StoredRun
from hpo.system.files import write_json
from hpo.trials.finalists import final_seeds
from hpo.trials.records import TrialRecord, TrialState
from hpo.views.page import report
from hpo.views.page.report import MAX_ROWS, command, sample
from tests.helpers.pages import EVIL, a_run, trial


def render(run: StoredRun) -> str:
    return report.render(run, partial(evaluate_winner, run.path, None, ()))


class Page(HTMLParser):
    """What a browser would make of it: tags, the text outside of scripts, and the scripts' own."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text, self.data = "", []  # type: ignore[var-annotated]
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.data += [data] if self.tags[-1][1].get("type") == "application/json" else []
        elif not {"style", "nav"} & set(self.open):
            self.text += data

    @property
    def titles(self) -> list[str]:
        titles = "Hyper|Learning|Accuracy|Confusion|Where the|Figures|Trials$|Leader|Best so far"
        return re.findall(rf"^(?:{titles}).*$", self.text, re.M)


def test_a_run_with_trials_of_every_kind(tmp_path: Path) -> None:
    records = [
        *(trial(number) for number in range(24)),
        trial(30, epochs=1, state=TrialState.STOPPED),
        trial(31, epochs=0, state=TrialState.FAILED, error=f"RuntimeError: {EVIL}", val_accuracy=None),
        trial(32, state=TrialState.DIVERGED, val_accuracy=None),
    ]
    page = Page(render(a_run(tmp_path / "a", records)))
    assert page.titles == [
        "Leaderboard", "Best so far", "Accuracy, parameters and time", "Learning curves", "Hyperparameters of cnn",
        "Confusion matrix of the winner", "Where the time went", "Trials",
    ]  # fmt: skip
    assert "Trials are compared by their accuracy at epoch 3, which 25 trials reached." in page.text
    assert "This could not be drawn: " in page.text and "no such file" in page.text  # it has no best.pt
    figures = [json.loads(text) for text in page.data]
    # Two histories, Pareto, curves, two of the winner, importances, parallel coordinates, slices, times.
    assert len(figures) == 10
    lines = [line for line in figures[7]["data"] if line.get("mode") == "lines"]
    assert sum(line["y"].count(None) for line in lines) == 25  # one for each trial, by shades
    assert len({line["line"]["color"] for line in lines}) > 8
    stopped = [line for line in figures[3]["data"] if "stopped" in line["name"]]
    assert len(stopped) == 1 and stopped[0]["opacity"] < 0.5
    rows = [attributes for tag, attributes in page.tags if tag == "tr" and attributes.get("class")]
    assert sum("failed" in (row["class"] or "") for row in rows) == 1


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([], "there is nothing to draw"),
        ([trial(0)], "Importances need at least 10 trials"),
        ([trial(0), trial(1)], "Importances need at least 10 trials with a value."),
        ([trial(0, state=TrialState.FAILED, val_accuracy=None, epochs=0)], "there is nothing to draw"),
    ],
)
def test_little_is_said_to_be_little(tmp_path: Path, records: list[TrialRecord], words: str) -> None:
    assert words in Page(render(a_run(tmp_path / "a", records))).text


def test_what_all_trials_have_in_common_is_said_once(tmp_path: Path) -> None:
    text = Page(render(a_run(tmp_path / "a", [trial(0), trial(1)]))).text
    table = text.split("Trials\nA blue")[1].split("Provenance")[0]
    assert "All trials: 10 parameters, batch size 32, activation relu" in table
    assert table.count("activation") == table.count("relu") == 1


def test_early_stopping_has_a_row_for_each_rung(tmp_path: Path) -> None:
    spec, stopping = {"model": ["cnn"], "trials": 9, "epochs": 3}, {"scheduler": "asha", "rungs": [1, 2]}
    run = a_run(tmp_path / "a", [trial(n, epochs=3 - n // 7) for n in range(9)], spec=spec, early_stopping=stopping)
    page = Page(render(run))
    first, second = run.rungs()
    table = page.text.split("Early stopping\n")[1].split("rank correlation\n")[1]
    expected = f"cnn19929{first.rank_correlation:.2f}cnn29737{second.rank_correlation:.2f}"
    assert "".join(table.split()).startswith(expected)
    assert "Early stopping" not in Page(render(a_run(tmp_path / "b", [trial(0)]))).text


def test_every_name_is_escaped(tmp_path: Path) -> None:
    spec = {"model": [EVIL], "name": EVIL, "dataset": EVIL}
    records = [trial(n, model=EVIL, trial_id=f"{EVIL}-{n:04d}", error=EVIL, node=EVIL) for n in range(3)]
    for one in records:
        one.config[EVIL] = f"{EVIL}{one.trial_id}"
    models = {EVIL: {"parameters": 1, "space": {EVIL: EVIL}}}
    text = render(a_run(tmp_path / "alert(1)", records, spec=spec, models=models, state=EVIL, commit=EVIL))
    assert EVIL not in text and "alert(1)" in text
    page = Page(text)
    assert sum(tag == "script" for tag, _ in page.tags) == len(page.data) + 2  # plotly and the page's own
    assert f"Hyperparameters of {EVIL}" in page.text


def test_the_page_asks_the_network_for_nothing_and_stays_small(tmp_path: Path) -> None:
    text = render(a_run(tmp_path / "a", [trial(n, epochs=10) for n in range(1000)]))
    assert len(text.encode()) < 6_000_000
    tags = Page(text).tags
    assert not [
        1
        for tag, found in tags
        if tag in ("link", "script", "img") and "http" in (found.get("src") or found.get("href") or "")
    ]


def test_ten_thousand_trials_are_sampled_and_the_page_says_so(tmp_path: Path) -> None:
    run = a_run(tmp_path / "a", [trial(n, epochs=1) for n in range(10_000)])
    text = render(run)
    assert len(text.encode()) < 6_000_000
    words = " ".join(Page(text).text.split())
    assert "The table shows 1,000 of 10,000 trials: the best ones and a random sample of the others." in words
    shown = sample(run.ranked())
    assert len(shown) == MAX_ROWS and [item.rank for item in shown] == sorted({item.rank for item in shown})
    assert [item.rank for item in shown[:500]] == list(range(1, 501)) and shown[-1].rank > 5000


def test_finals_are_on_the_page(tmp_path: Path) -> None:
    spec = {"model": ["cnn"], "finalists": 2, "final_seeds": 3}
    run = a_run(tmp_path / "a", [trial(0), trial(1)], spec=spec)
    assert "The finals have not finished, so nothing is tested." in " ".join(Page(render(run)).text.split())
    journal = Journal(run.path / "finals.jsonl")
    right = np.random.default_rng(0).random((3, 100)) < 0.9
    seeds = list(final_seeds(0, 3))
    row = {"what": "tested", "trial_id": "cnn-0001", "asked": seeds, "seeds": seeds, "images": 100}
    journal.append({**row, "right": [packed(one) for one in right]})
    journal.close()
    page = Page(render(run))
    assert f"{right.mean():.4f}" in page.text and "were trained again, with new seeds" in page.text
    assert [found.get("aria-label") for tag, found in page.tags if found.get("class") == "interval"]


def test_the_page_ranks_as_the_run_did_and_shows_its_leaderboard(tmp_path: Path) -> None:
    records = [
        trial(0, val_accuracy=0.8, parameters=10, wall_time_s=9.0),
        trial(1, val_accuracy=0.7, parameters=99, wall_time_s=1.0),
        trial(2, val_accuracy=0.6, parameters=5, wall_time_s=5.0),
    ]
    spec = {"model": ["cnn"], "objective": ["accuracy", "parameters"], "finalists": 1, "final_seeds": 1, "seed": 4}
    run = a_run(tmp_path / "a", records, spec=spec)
    assert [item.record.trial_id[-1] for item in run.ranked()] == ["0", "2", "1"]  # 1 is not on the front of the two
    journal = Journal(run.path / "finals.jsonl")
    for number in (2, 0):  # the second one was a finalist once, and is none any more
        row = {"what": "tested", "trial_id": f"cnn-{number:04d}", "asked": [1_000_004], "seeds": [1_000_004]}
        journal.append({**row, "images": 8, "right": [packed(np.ones(8, dtype=bool))]})
    journal.close()
    assert [finalist.record.trial_id for finalist in run.finalists()] == ["cnn-0000"]


def test_a_figure_that_cannot_be_drawn_costs_only_itself(tmp_path: Path) -> None:
    same = [{"epoch": 1, "val_accuracy": 1.0, "val_loss": 0.1}]
    page = Page(render(a_run(tmp_path / "a", [trial(n, curve=same, val_accuracy=1.0) for n in range(25)])))
    assert "A figure could not be drawn: " in page.text and "zero total variance" in page.text
    assert len(page.data) == 9


def test_weights_of_another_trial_are_not_taken_for_the_winners(tmp_path: Path) -> None:
    run = a_run(tmp_path / "a", [trial(0)])
    write_json(run.path / "best.json", {"trial_id": "cnn-0007"})
    assert "the network of the winning trial is not there: its checkpoint was lost" in Page(render(run)).text


def test_the_command_line_of_a_spec() -> None:
    spec = {"model": ["cnn", "mlp"], "trials": 5, "search_widths": True, "set": ["lr=1 e"], "train_size": 9}
    expected = "python hpo/run.py --model cnn mlp --trials 5 --search-widths --set 'lr=1 e' --train-size 9"
    assert command({**spec, "quiet": True, "resume": "a", "space": {}}) == expected


def test_the_head_counts_the_images_of_each_class(tmp_path: Path) -> None:
    run = a_run(tmp_path / "a", [trial(0)])
    counts = {"train": [1200, 12], "validation": [300, 3]}
    run.study["data"].update(class_counts=counts, classes=["cat", "<dog>"])
    assert "<dog> 12 + 3, cat 1,200 + 300 (training + validation)" in Page(render(run)).text
    many = {part: list(range(30)) for part in ("train", "validation")}
    run.study["data"].update(class_counts=many, classes=[f"c{n}" for n in range(30)])
    assert "c9 9 + 9, ..., c20 20 + 20" in Page(render(run)).text
