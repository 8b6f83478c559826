"""results/NAME: made whole or not at all, locked while a driver uses it, never overwritten."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from hpo.store.csv_tables import trials_frame
from hpo.store.study_file import read_study
from hpo.system.errors import UserError
from hpo.system.files import write_atomically, write_json


class RunFolder:
    """The paths of one run, and its lock, which the kernel frees when the driver ends, even by SIGKILL."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path, self._lock = path, lock
        self.study_json = path / "study.json"
        self.trials_csv = path / "trials.csv"
        self.curves_csv = path / "curves.csv"
        self.leaderboard_csv = path / "leaderboard.csv"
        self.report_html = path / "report.html"
        self.journal = path / "trials.jsonl"
        self.finals = path / "finals.jsonl"
        self.final_weights = path / ".finals"  # of networks that wait for their finalist's test
        self.study_db = path / "study.db"
        self.best_pt = path / "best.pt"
        self.best_json = path / "best.json"
        self.logs = path / "logs"
        self.checkpoints = path / "checkpoints"  # unless --storage-path says where
        self.tune = path / ".tune"

    def read_study(self) -> dict[str, Any]:
        """Raises ValueError, in one line, where it is damaged."""
        return read_study(self.study_json)

    @property
    def run_id(self) -> str:
        """Of this run and no other, whatever its name."""
        return str(self.read_study().get("id", self.path.name))

    def write_study(self, study: dict[str, Any]) -> None:
        write_json(self.study_json, study)

    def unlock(self) -> None:
        os.close(self._lock)


def check_free(results_dir: Path, name: str | None) -> None:
    """ValueError if there is a run of this name already."""
    if name is not None and os.path.lexists(results_dir / name):
        raise _taken(results_dir, name)


def _taken(results_dir: Path, name: str) -> UserError:
    resume = f"go on with it by --resume {name}, or " if (results_dir / name / "study.json").exists() else ""
    return UserError(f"--name {name}: {results_dir / name} is there already; {resume}take another name")


def create(results_dir: Path, name: str | None, study: dict[str, Any], models: Sequence[str] = ()) -> RunFolder:
    """Makes results_dir/name with study.json and an empty trials.csv in it; names and raises as `make_whole`."""
    lock = -1

    def fill(new: Path) -> None:
        nonlocal lock
        lock = _locked(new)
        folder = RunFolder(new, lock)
        folder.write_study(study)
        write_atomically(folder.trials_csv, trials_frame([]).to_csv(index=False))
        folder.logs.mkdir()

    return RunFolder(make_whole(results_dir, name, fill, models), lock)


def make_whole(results_dir: Path, name: str | None, fill: Callable[[Path], None], models: Sequence[str] = ()) -> Path:
    """Makes results_dir/name with what `fill` puts into it, in one step; returns its path.

    Without a name it takes the first one made of `models` and the time that nobody has, also where several processes
    ask for one at the same moment. Raises ValueError if the name is taken or the folder cannot be written.
    """
    check_free(results_dir, name)
    try:
        results_dir.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=results_dir, prefix=".new-"))
    except OSError as error:
        raise UserError(f"--results-dir {results_dir}: cannot be written ({error.strerror})") from error
    try:
        fill(new)
        new.chmod(0o755)
        return _named(new, results_dir, name, models)
    except BaseException as error:
        shutil.rmtree(new, ignore_errors=True)
        if isinstance(error, OSError):
            what = f"--name {name}: {results_dir / name}" if name else f"--results-dir {results_dir}: a folder"
            raise UserError(f"{what} cannot be made ({error.strerror})") from error
        raise


def _named(new: Path, results_dir: Path, name: str | None, models: Sequence[str]) -> Path:
    """Gives `new` its name, or the first one that is free; ValueError where it is taken.

    Whoever makes an empty folder of a name has it, because only one can. A rename alone would replace the empty folder
    of somebody else.
    """
    for candidate in _names(models) if name is None else [name]:
        target = results_dir / candidate
        try:
            target.mkdir()
        except FileExistsError:
            continue
        try:
            os.rename(new, target)
        except BaseException:
            target.rmdir()
            raise
        return target
    raise _taken(results_dir, str(name))


def reopen(results_dir: Path, name: str) -> RunFolder:
    """Locks an existing run; ValueError if another driver is at work in it."""
    path = results_dir / name
    try:
        return RunFolder(path, _locked(path))
    except BlockingIOError:
        raise UserError(f"--resume {name}: another driver is at work in {path}") from None
    except OSError as error:
        raise UserError(f"--resume {name}: {path} cannot be written ({error.strerror})") from error


def stem(models: Sequence[str]) -> str:
    """What a run without a name is called: the architectures and the time."""
    first = models[0].rpartition("/")[2]  # of a user's FILE.py:NAME, without its folder
    what = first if len(models) == 1 else f"{first}+{len(models) - 1}"
    return f"{what}-{datetime.now():%Y%m%d-%H%M%S}"


def _names(models: Sequence[str]) -> Iterator[str]:
    """What such a run may be called, in order; they never end."""
    first = stem(models)
    yield first
    yield from (f"{first}-{number}" for number in count(2))


def _locked(path: Path) -> int:
    lock = os.open(path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock
