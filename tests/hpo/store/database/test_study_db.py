"""A database that is another run's."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from hpo.run import main
from hpo.session.preflight.planning import preflight
from hpo.session.study_json import describe
from hpo.spec.study import StudySpec
from hpo.store import run_folder
from hpo.store.database.study_db import (
    check_no_runs_file,
    check_unused,
    open_storage,
    open_study,
    quiet_optuna,
)


@pytest.fixture
def run_a(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """results/A of the current folder, with the study of its own."""
    monkeypatch.chdir(tmp_path)
    study = describe(preflight(StudySpec.of(model="mlp", dataset="digits")))
    made = run_folder.create(Path("results"), "A", study)
    made.unlock()
    with quiet_optuna():
        open_study(open_storage(f"sqlite:///{made.study_db}"), "mlp", resume=False)
    (tmp_path / "link.db").symlink_to(made.study_db.resolve())
    (tmp_path / "folder").symlink_to(made.path.resolve())
    return made.path


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///results/A/study.db",
        "sqlite:///./results/../results/A/study.db",
        "sqlite:///{here}/results/A/study.db",
        "sqlite+pysqlite:///results/A/study.db",
        "sqlite:///results/A/another.db",
        "sqlite:///link.db",
        "sqlite:///folder/study.db",
        "sqlite:///file:results/A/study.db?uri=true",
    ],
)
def test_the_database_of_another_run_is_refused(
    url: str, more: list[str], run_a: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = url.format(here=tmp_path)
    line = ["--storage", url, "--study", "A", "--model", "mlp", "--dataset", "digits", "--trials", "1", *more]
    assert main(line) == 2
    out, err = capsys.readouterr()
    assert err == f"hpo: --storage {url}: is in the folder of run A and belongs to it; use another file\n"
    assert out == "" and [path.name for path in Path("results").iterdir()] == ["A"]
    with closing(sqlite3.connect(run_a / "study.db")) as database:
        assert database.execute("select study_name from studies").fetchall() == [("mlp",)]
    assert not (run_a / "another.db").exists()


def test_a_tracking_store_is_not_put_there_either(run_a: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--mlflow", "sqlite:///results/A/study.db", "--model", "mlp", "--dataset", "digits"]) == 2
    assert capsys.readouterr().err.startswith("hpo: --mlflow sqlite:///results/A/study.db: is in the folder of run A")


@pytest.mark.parametrize(
    "url", [None, "sqlite://", "sqlite:///:memory:", "sqlite:///shared.db", "postgresql://h/results/A/study.db", "x"]
)
def test_other_databases_are_not(url: str | None, run_a: Path) -> None:
    check_no_runs_file("--storage", url)
    check_no_runs_file("--storage", "sqlite:///results/A/study.db", own=run_a)
    (run_a / "moved.db").symlink_to(run_a.parent.parent / "shared.db")
    with pytest.raises(ValueError, match="is in the folder of run A"):
        check_no_runs_file("--storage", "sqlite:///results/A/moved.db", own=run_a.parent)


def test_a_database_beside_the_runs_is_shared_as_before(run_a: Path) -> None:
    made = preflight(StudySpec.of(model="mlp", dataset="digits", storage="sqlite:///results/shared.db", study="both"))
    assert made.storage is not None
    assert optuna.get_all_study_names("sqlite:///results/A/study.db") == ["mlp"]


def test_sqlite_has_a_write_ahead_log(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/study.db")
    with storage.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://me:hunter2@127.0.0.1:9/x", "--storage postgresql://me:***@127.0.0.1:9/x: "),
        ("mysql+nodriver://me:hunter2@h/x", "--storage mysql+nodriver://me:***@h/x: "),
        ("sqlite:////nonexistent/folder/x.db", "--storage sqlite:////nonexistent/folder/x.db: cannot be opened"),
        ("not a url", "--storage not a url: cannot be opened"),
    ],
)
def test_a_wrong_storage_is_one_line_without_its_password(url: str, message: str) -> None:
    with pytest.raises(ValueError, match="--storage") as caught:
        open_storage(url)
    assert str(caught.value).startswith(message)
    assert "hunter2" not in str(caught.value) and "\n" not in str(caught.value)


def test_two_runs_never_share_a_study(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/shared.db")
    open_study(storage, "a/cnn", resume=False)
    with pytest.raises(optuna.exceptions.DuplicatedStudyError):
        open_study(storage, "a/cnn", resume=False)
    open_study(storage, "a/cnn", resume=True)
    with pytest.raises(
        ValueError, match=r"--storage sqlite:///x: already contains a study a/cnn; choose another --name"
    ):
        check_unused(storage, "sqlite:///x", ["a/cnn", "a/mlp"])
