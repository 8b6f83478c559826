"""The Optuna side of a run: storage and studies."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import optuna
from optuna.storages import RDBStorage
from optuna.study import StudyDirection

from hpo.system.errors import UserError
from hpo.system.urls import masked

LOCK_TIMEOUT_S = 60
logger = logging.getLogger(__name__)


def check_no_runs_file(flag: str, url: str | None, own: Path | None = None) -> None:
    """Raises UserError when a SQLite file is in the folder of a run, directly or through a link: such a file belongs to
    that run. It may be in `own`, the folder of the run that asks."""
    for folder in _folders_of_sqlite(url or ""):
        if (folder / "study.json").exists() and not (own and own.exists() and folder.samefile(own)):
            raise UserError(f"{flag} {url}: is in the folder of run {folder.name} and belongs to it; use another file")


def _folders_of_sqlite(url: str) -> set[Path]:
    """The folders of a SQLite URL's file, as written and with links followed; none for other databases."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return set()
    name = parsed.database
    if parsed.get_backend_name() != "sqlite" or not name or name == ":memory:":
        return set()
    if name.startswith("file:"):  # SQLite's own URI, inside the URL
        name = unquote(urlsplit(name).path)
    return {Path(os.path.abspath(name)).parent.resolve(), Path(name).resolve().parent}


def open_storage(url: str) -> RDBStorage:
    """Opens an Optuna database, and creates a missing one.

    SQLite gets a write-ahead log, which halves the cost of a trial and survives a kill of the driver.
    Raises UserError, without the password, when the URL, its driver or its server does not work.
    """
    from sqlalchemy import event
    from sqlalchemy.exc import SQLAlchemyError

    sqlite = url.startswith("sqlite")
    try:
        arguments: dict[str, Any] = {"connect_args": {"timeout": LOCK_TIMEOUT_S}} if sqlite else {}
        storage = _made(_with_driver(url), {"pool_pre_ping": True, **arguments})
    except ImportError as error:
        raise UserError(
            f"--storage {masked(url)}: its database driver is missing ({error.__cause__ or error})"
        ) from None
    except (SQLAlchemyError, ValueError, OSError, RuntimeError) as error:
        reason = str(error.__cause__ or error).splitlines()[0].replace(url, masked(url))
        raise UserError(f"--storage {masked(url)}: cannot be opened ({reason})") from None
    if sqlite:
        event.listen(storage.engine, "connect", _tune_sqlite)
        storage.engine.dispose()
    return storage


def close_storage(storage: RDBStorage) -> None:
    """Closes its connections."""
    storage.remove_session()
    storage.engine.dispose()


def is_sound(path: Path) -> bool:
    """Whether SQLite finds no damage in the database, and Optuna can read all its trials. A locked database counts as
    sound."""
    try:
        connection = sqlite3.connect(path, timeout=LOCK_TIMEOUT_S)
        try:
            if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
                return False
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        return "locked" in str(error)
    return _is_readable(path)


def _is_readable(path: Path) -> bool:
    storage = None
    try:
        with quiet_optuna():
            storage = open_storage(f"sqlite:///{path}")
            for name in optuna.get_all_study_names(storage):
                optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
    except Exception as error:  # damaged bytes can cause any error in Optuna
        logger.warning("%s cannot be read: %r", path, error)
        return "locked" in str(error)
    finally:
        if storage is not None:
            close_storage(storage)
    return True


def _made(url: str, options: dict[str, Any]) -> RDBStorage:
    """Opens the storage and creates its tables, again when other drivers create them at the same moment."""
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    for _ in range(4):
        try:
            return RDBStorage(url, engine_kwargs=options)
        except (IntegrityError, ProgrammingError):
            time.sleep(1)
    return RDBStorage(url, engine_kwargs=options)


def _with_driver(url: str) -> str:
    """Adds psycopg, the driver that Podium's extra installs, to a postgresql:// URL without a driver."""
    plain = re.sub(r"^postgres(ql)?://", "", url)
    return f"postgresql+psycopg://{plain}" if plain != url and find_spec("psycopg") else url


def _tune_sqlite(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def open_study(
    storage: RDBStorage, name: str, *, resume: bool, directions: Sequence[str] = ("maximize",)
) -> optuna.Study:
    """Opens the study called `name`, or creates it.

    Raises optuna's DuplicatedStudyError when it exists and `resume` is False: two runs never share a study.
    """
    return optuna.create_study(
        storage=storage,
        study_name=name,
        directions=[StudyDirection[name.upper()] for name in directions],
        load_if_exists=resume,
    )


def create_or_open_shared(
    storage: RDBStorage, name: str, *, directions: Sequence[str] = ("maximize",)
) -> tuple[optuna.Study, bool]:
    """Opens a study that several drivers work on; returns it, and whether it was made now, by this driver alone."""
    try:
        return open_study(storage, name, resume=False, directions=directions), True
    except optuna.exceptions.DuplicatedStudyError:
        return open_study(storage, name, resume=True, directions=directions), False


def check_unused(storage: RDBStorage, url: str, names: list[str]) -> None:
    """Raises UserError when the database contains one of these studies, which then belongs to another run."""
    for name in sorted(set(names) & set(optuna.get_all_study_names(storage))):
        raise UserError(f"--storage {masked(url)}: already contains a study {name}; choose another --name")


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Sends Optuna's own log lines to the run's log file, not to the terminal."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.WARNING)
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
        optuna.logging.disable_propagation()
        optuna.logging.enable_default_handler()
