from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpo.store.stored_run import check_comparable, read_records, read_run
from hpo.store.study_file import RunState
from hpo.system.errors import UserError
from tests.helpers.pages import a_run, trial


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    records = [trial(0, val_accuracy=0.5), trial(1, val_accuracy=0.9)]
    run = a_run(tmp_path / "a", records)
    assert run.name == "a" and run.records == records and run.spec["trials"] == 9 and run.finals == 0
    assert [item.record.trial_id for item in run.ranked()] == ["cnn-0001", "cnn-0000"] and run.finalists() == []


def test_rungs_are_computed_from_the_trials_of_the_run(tmp_path: Path) -> None:
    records = [trial(number, epochs=3 if number < 6 else 2) for number in range(9)]
    spec = {"model": ["cnn"], "trials": 9, "epochs": 3}
    (rung,) = a_run(tmp_path / "a", records, spec=spec, early_stopping={"scheduler": "asha", "rungs": [2]}).rungs()
    assert (rung.came, rung.went_on, rung.compared) == (9, 6, 6) and rung.rank_correlation is not None
    assert a_run(tmp_path / "b", records, spec=spec).rungs() == []  # it does not say that it stopped trials


def test_of_a_trial_that_was_written_twice_the_last_row_counts(tmp_path: Path) -> None:
    run = a_run(tmp_path / "a", [trial(0, val_accuracy=0.5), trial(1), trial(0, val_accuracy=0.9)])
    assert run.records[0].val_accuracy == 0.9 and len(run.records) == 2
    assert read_records(run.path / "trials.jsonl") == run.records


def test_damaged_lines_are_skipped_with_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = a_run(tmp_path / "a", [trial(0)])
    with (run.path / "trials.jsonl").open("a") as file:
        file.write('{"trial_id": "cnn-0001"}\nno json\n')
    assert len(read_run(run.path).records) == 1
    assert "trials.jsonl: skipped 2 damaged lines; --resume repairs the file" in capsys.readouterr().err


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none: not a run folder"):
        read_run(tmp_path / "none")
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        read_run(tmp_path)


def test_an_older_run_lacks_what_a_page_can_do_without(tmp_path: Path) -> None:
    run = a_run(tmp_path / "a", [trial(0)])
    study = {key: value for key, value in run.study.items() if key not in ("state", "machine", "versions")}
    (run.path / "study.json").write_text(json.dumps(study))
    assert read_run(run.path).study["state"] is RunState.UNKNOWN


def test_runs_are_comparable_on_the_same_images(tmp_path: Path) -> None:
    one, same = a_run(tmp_path / "one", [trial(0)]), a_run(tmp_path / "same", [trial(0)])
    check_comparable([one, same])
    data = one.study["data"]
    other = a_run(tmp_path / "other", [trial(0)], data={**data, "hashes": {**data["hashes"], "train": "x"}})
    with pytest.raises(UserError, match="its train split differs from that of"):
        check_comparable([one, other])
