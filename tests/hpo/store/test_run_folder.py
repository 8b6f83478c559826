"""The journal, the tables and the folder: nothing half-written, nothing overwritten."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hpo.store import run_folder as folders
from hpo.store.csv_tables import LiveTrials, curves_frame, leaderboard_frame, trials_frame
from hpo.store.journal import Journal, read_journal
from hpo.system.files import write_atomically
from hpo.trials.ranking import rank
from hpo.trials.records import TrialRecord, TrialState


def record(number: int, model: str = "cnn", **values: Any) -> TrialRecord:
    config = {"lr": 0.1, "dropout": 0.0, "batch_size": 32, "activation": "relu", "optimizer": "sgd"}
    fields: dict[str, Any] = {
        "state": TrialState.COMPLETED,
        "val_accuracy": number / 100,
        "curve": [{"epoch": 1, "val_accuracy": number / 100, "train_loss": None}],
        **values,
    }
    return TrialRecord(
        trial_id=f"{model}-{number:04d}",
        model=model,
        config=config,
        seed=number,
        parameters=7,
        dataset="digits",
        precision="float32",
        **fields,
    )


def test_a_torn_last_line_is_cut_off_and_the_journal_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    journal = Journal(path)
    journal.append({"a": 1})
    journal.append({"a": 2})
    journal.close()
    for torn in (b'{"a": 3', b"\xff\xfe", b'{"a": 3}'):
        whole = path.read_bytes()
        path.write_bytes(whole + torn)
        assert read_journal(path)[-1]["a"] == 2
        Journal(path).close()
        assert path.read_bytes() == whole


def test_a_journal_refuses_what_json_cannot_hold(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    with pytest.raises(ValueError, match="Out of range float values"):
        journal.append({"x": float("nan")})
    assert read_journal(tmp_path / "j") == []


def test_a_row_that_the_disk_does_not_take_leaves_no_part_behind(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(path)
    journal.append({"a": 1})
    size = path.stat().st_size
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, hard))
    try:
        for _ in range(2):
            with pytest.raises(OSError, match=r"No space left|File too large"):
                journal.append({"a": "x" * 100})
            assert path.stat().st_size == size
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        signal.signal(signal.SIGXFSZ, before)
    journal.append({"a": 2})
    journal.close()
    assert read_journal(path) == [{"a": 1}, {"a": 2}]


def test_a_failed_atomic_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.csv"
    write_atomically(path, "old")
    monkeypatch.setattr(os, "replace", lambda *a: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["x.csv"]


COLUMNS = [
    *("rank", "model", "val_accuracy", "parameters", "wall_time_s", "state", "epochs", "best_epoch", "val_loss"),
    *("train_accuracy", "train_loss", "pareto", "lr", "dropout", "batch_size", "activation", "config_optimizer"),
    *("queue_s", "setup_s", "train_s", "eval_s", "images_per_s", "seed", "device", "node", "precision", "workers"),
    *("lanes", "retries", "dataset", "trial_id", "error"),
]


def test_trials_csv_has_the_documented_columns_in_order(tmp_path: Path) -> None:
    LiveTrials(tmp_path / "trials.csv", [record(1), record(2, error='a "b", c')]).write()
    frame = pd.read_csv(tmp_path / "trials.csv")
    assert list(frame.columns) == COLUMNS
    assert list(frame["rank"]) == [1, 2] and list(frame["trial_id"]) == ["cnn-0002", "cnn-0001"]
    assert frame["error"][0] == 'a "b", c' and frame["state"][0] == "completed"
    assert list(trials_frame([]).columns) == [c for c in COLUMNS if c != "config_optimizer"]


def test_curves_have_a_row_per_trial_and_epoch() -> None:
    frame = curves_frame([record(1), record(2, curve=[{"epoch": 1}, {"epoch": 2}])])
    assert list(frame["epoch"]) == [1, 1, 2] and list(frame["trial_id"])[-1] == "cnn-0002"


def test_the_leaderboard_has_the_best_of_each_architecture() -> None:
    records = [record(n, m) for m, ns in (("cnn", (3, 9)), ("mlp", (5, 7, 1))) for n in ns]
    frame = leaderboard_frame(rank(records))
    assert list(frame["model"]) == ["cnn", "mlp"] and list(frame["rank"]) == [1, 2]
    assert list(frame["trials"]) == [2, 3] and list(frame["trial_id"]) == ["cnn-0009", "mlp-0007"]


def test_live_trials_are_not_written_on_every_call(tmp_path: Path) -> None:
    records: list[TrialRecord] = []
    live = LiveTrials(tmp_path / "trials.csv", records)
    for number in range(20):
        records.append(record(number))
        live.added()
    assert 1 <= len(pd.read_csv(tmp_path / "trials.csv")) < 20


def test_records_go_through_json_and_unknown_keys_are_left_out() -> None:
    one = record(3)
    back = TrialRecord.from_dict({**json.loads(json.dumps(one.to_dict())), "of_next_version": 1})
    assert back == one and back.state is TrialState.COMPLETED


def test_a_folder_is_made_whole_locked_and_never_overwritten(tmp_path: Path) -> None:
    folder = folders.create(tmp_path / "results", "a", {"spec": {}})
    assert [p.name for p in (tmp_path / "results").iterdir()] == ["a"]
    assert pd.read_csv(folder.trials_csv).empty and folder.read_study() == {"spec": {}, "sessions": []}
    with pytest.raises(ValueError, match=r"--name a: .*a already exists; resume it with --resume a"):
        folders.create(tmp_path / "results", "a", {})
    with pytest.raises(ValueError, match="--resume a: another driver is using"):
        folders.reopen(tmp_path / "results", "a")
    folder.unlock()
    folders.reopen(tmp_path / "results", "a").unlock()


def test_a_sigkill_frees_the_lock(tmp_path: Path) -> None:
    folders.create(tmp_path, "a", {}).unlock()
    code = (
        f"from hpo.store import run_folder; from pathlib import Path; run_folder.reopen(Path({str(tmp_path)!r}), 'a')"
    )
    code += "; print(1, flush=True); input()"
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout and other.stdout.readline()
    with pytest.raises(ValueError, match="another driver"):
        folders.reopen(tmp_path, "a")
    other.kill()
    other.communicate()
    folders.reopen(tmp_path, "a").unlock()


def test_a_results_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"--results-dir .*file/results: cannot be written \(Not a directory\)"):
        folders.create(tmp_path / "file" / "results", "a", {})


def test_names_made_up_are_free(tmp_path: Path) -> None:
    first, second = (folders.create(tmp_path, None, {}, ["cnn"]) for _ in range(2))
    assert first.path != second.path and first.path.name.startswith("cnn-")
    assert folders.create(tmp_path, None, {}, ["cnn", "mlp"]).path.name.startswith("cnn+1-")
