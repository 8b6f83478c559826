"""Results on their way back from a cluster."""

from __future__ import annotations

import fcntl
import sqlite3
from pathlib import Path

import pytest

from cluster.jobs import results
from cluster.jobs.results import publish, unpack


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "head" / "run"
    for name in (
        "study.json",
        "trials.csv",
        "best.pt",
        "logs/hpo.log",
        "checkpoints/a@1.pt",
        ".lock",
        ".tune/x/y.json",
        ".finals/cnn-0000-seed-1.pt",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    with sqlite3.connect(folder / "study.db") as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE trials (n INTEGER)")
    return folder


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_what_comes_back_at_the_end_and_before(run: Path, tmp_path: Path) -> None:
    archive, here = tmp_path / "x.tar.gz", tmp_path / "here"
    assert publish(run, archive, whole=False) == []
    unpack(archive.read_bytes(), here)
    assert names(here) == {"study.json", "trials.csv", "study.db"}
    (here / "mine.txt").write_text("stays")
    (run / "trials.csv").write_text("newer")
    assert publish(run, archive, whole=True) == []
    unpack(archive.read_bytes(), here)
    assert names(here) == {"study.json", "trials.csv", "study.db", "best.pt", "logs/hpo.log", "mine.txt"}
    assert (here / "trials.csv").read_text() == "newer"


def test_the_database_is_whole_while_a_driver_writes(run: Path, tmp_path: Path) -> None:
    archive, here = tmp_path / "x.tar.gz", tmp_path / "here"
    writer = sqlite3.connect(run / "study.db")
    writer.execute("INSERT INTO trials VALUES (1)")
    writer.commit()  # is in the write-ahead log and not yet in the file
    writer.execute("INSERT INTO trials VALUES (2)")
    publish(run, archive, whole=False)
    unpack(archive.read_bytes(), here)
    with sqlite3.connect(here / "study.db") as copy:
        assert copy.execute("SELECT n FROM trials").fetchall() == [(1,)]
    writer.close()


def test_weights_that_are_too_large_stay_and_are_named(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "MAX_WEIGHTS_BYTES", 3)
    assert publish(run, tmp_path / "x.tar.gz", whole=True) == [str(run / "best.pt")]
    unpack((tmp_path / "x.tar.gz").read_bytes(), tmp_path / "here")
    assert "best.pt" not in names(tmp_path / "here")


def test_another_run_of_the_same_name_is_left_alone(run: Path, tmp_path: Path) -> None:
    archive, here = tmp_path / "x.tar.gz", tmp_path / "here"
    (run / "study.json").write_text('{"id": "a"}')
    (run / "trials.jsonl").write_text("1\n2\n")
    publish(run, archive, whole=True)
    here.mkdir()
    (here / "study.json").write_text('{"id": "b"}')
    with pytest.raises(ValueError, match="is another run of this name, and was left as it is"):
        unpack(archive.read_bytes(), here)
    assert names(here) == {"study.json"} and (here / "study.json").read_text() == '{"id": "b"}'


def test_a_database_does_not_meet_what_its_predecessor_left(run: Path, tmp_path: Path) -> None:
    archive, here = tmp_path / "x.tar.gz", tmp_path / "here"
    publish(run, archive, whole=True)
    here.mkdir()
    killed = sqlite3.connect(here / "study.db")
    killed.execute("PRAGMA journal_mode=WAL")
    killed.execute("CREATE TABLE other (n INTEGER)")
    killed.commit()
    assert (here / "study.db-wal").exists()
    unpack(archive.read_bytes(), here)
    with sqlite3.connect(here / "study.db") as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("trials",)]
    killed.close()


def test_a_killed_drivers_database_arrives_on_the_head_with_its_log(run: Path, tmp_path: Path) -> None:
    from cluster.jobs.head import _take_over

    (run / "trials.jsonl").write_text("1\n")
    killed = sqlite3.connect(run / "study.db")
    killed.execute("INSERT INTO trials VALUES (7)")
    killed.commit()
    assert (run / "study.db-wal").exists()
    head = tmp_path / "podium-results" / "run"
    head.mkdir(parents=True)
    (head / "study.db-wal").write_text("of another database")
    _take_over(run, head)
    with sqlite3.connect(head / "study.db") as database:
        assert database.execute("SELECT n FROM trials").fetchall() == [(7,)]
    killed.close()


def test_a_run_that_has_gone_on_here_is_left_alone(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, here = tmp_path / "x.tar.gz", tmp_path / "here"
    (run / "trials.jsonl").write_text("1\n2\n")
    publish(run, archive, whole=True)
    assert unpack(archive.read_bytes(), here)
    (here / "trials.jsonl").write_text("1\n2\n3\n")
    assert not unpack(archive.read_bytes(), here)
    assert (here / "trials.jsonl").read_text() == "1\n2\n3\n"
    monkeypatch.setattr(results, "LOCK_S", 0.3)
    with (here / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another driver is at work there"):
            unpack(archive.read_bytes(), here)


@pytest.mark.parametrize("keep", [0, 10, -20])
def test_half_an_archive_changes_nothing(run: Path, tmp_path: Path, keep: int) -> None:
    publish(run, tmp_path / "x.tar.gz", whole=True)
    here = tmp_path / "here"
    with pytest.raises(ValueError, match="the results did not arrive whole"):
        unpack((tmp_path / "x.tar.gz").read_bytes()[:keep], here)
    assert not here.exists()


def test_an_archive_cannot_write_elsewhere(tmp_path: Path) -> None:
    import io
    import tarfile

    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        entry = tarfile.TarInfo("../outside")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    with pytest.raises(ValueError, match="did not arrive whole"):
        unpack(file.getvalue(), tmp_path / "here")
    assert not (tmp_path / "outside").exists()
