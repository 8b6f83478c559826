"""A run that is ended from outside leaves what is finished."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from hpo.session.last_words import LastWords
from hpo.session.outcome import Judge
from hpo.store import run_folder as folders
from hpo.trials.ranking import DEFAULT
from tests.helpers.records import record


@pytest.fixture
def last_words(tmp_path: Path) -> LastWords:
    folder = folders.create(tmp_path, "a", {"spec": {}})
    rows = [record(n, val_accuracy=n / 10).to_dict() for n in range(3)]
    folder.journal.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return LastWords(folder, Judge(9, "GO ON"), DEFAULT)


def left(tmp_path: Path) -> tuple[str, int]:
    state = json.loads((tmp_path / "a" / "study.json").read_text())["state"]
    return state, len(pd.read_csv(tmp_path / "a" / "trials.csv"))


def test_an_interrupted_run_leaves_its_ranked_trials(last_words: LastWords, tmp_path: Path) -> None:
    assert last_words.interrupted() == "interrupted; go on with: GO ON"
    assert left(tmp_path) == ("interrupted", 3)


def test_a_lost_cluster_ends_the_run_but_no_prompt(
    last_words: LastWords, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    last_words.cluster_lost("10.0.0.1:6379")
    fault = "the Ray cluster at 10.0.0.1:6379 does not answer any more"
    assert capsys.readouterr().err == f"\nhpo: {fault}; when that is mended, go on with: GO ON\n"
    assert left(tmp_path) == ("failed", 3)


def test_a_folder_that_takes_nothing_keeps_no_run_from_ending(last_words: LastWords) -> None:
    last_words.folder.study_json.write_text("damaged")
    last_words.folder.trials_csv.unlink()
    last_words.folder.trials_csv.mkdir()
    (last_words.folder.trials_csv / "in the way").touch()
    assert last_words.interrupted().startswith("interrupted; ")
