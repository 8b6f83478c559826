"""The folder of a run, results/NAME: created whole, locked while a driver uses it, never overwritten."""

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
    """The paths of one run, and its lock. The kernel releases the lock when the driver ends, even by SIGKILL."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path, self._lock = path, lock
        self.study_json = path / "study.json"
        self.trials_csv = path / "trials.csv"
        self.curves_csv = path / "curves.csv"
        self.leaderboard_csv = path / "leaderboard.csv"
        self.report_html = path / "report.html"
        self.timeline = path / "timeline.json"  # with --profile
        self.journal = path / "trials.jsonl"
        self.finals = path / "finals.jsonl"
        self.final_weights = path / ".finals"  # networks that wait for the test of their finalist, or for the end
        self.finals_networks = path / "finals"  # one network of each finalist
        self.study_db = path / "study.db"
        self.best_pt = path / "best.pt"
        self.trial_pt = path / "trial.pt"  # the winner's, as the search had it
        self.best_json = path / "best.json"
        self.logs = path / "logs"
        self.checkpoints = path / "checkpoints"  # unless --storage-path is given
        self.tune = path / ".tune"

    def weights_of_final(self, trial_id: str, seed: int) -> Path:
        """Where a network of a finalist waits."""
        return self.final_weights / f"{trial_id}-seed-{seed}.pt"

    def read_study(self) -> dict[str, Any]:
        """Reads study.json. Raises ValueError, in one line, when it is damaged."""
        return read_study(self.study_json)

    @property
    def run_id(self) -> str:
        """Identifies this run and no other one, even under another name."""
        return str(self.read_study().get("id", self.path.name))

    def write_study(self, study: dict[str, Any]) -> None:
        """Writes study.json. Raises OSError."""
        write_json(self.study_json, study)

    def unlock(self) -> None:
        """Lets other drivers use the folder."""
        os.close(self._lock)


def check_free(results_dir: Path, name: str | None) -> None:
    """Raises UserError when a run of this name exists."""
    if name is not None and os.path.lexists(results_dir / name):
        raise _taken(results_dir, name)


def _taken(results_dir: Path, name: str) -> UserError:
    resume = f"resume it with --resume {name}, or " if (results_dir / name / "study.json").exists() else ""
    return UserError(f"--name {name}: {results_dir / name} already exists; {resume}choose another name")


def create(results_dir: Path, name: str | None, study: dict[str, Any], models: Sequence[str] = ()) -> RunFolder:
    """Makes results_dir/name with study.json and an empty trials.csv in it, as `make_whole` does."""
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
    """Makes results_dir/name, with the files that `fill` writes, in one step; returns its path.

    Without a name it chooses a free one, made of `models` and the time. Each process gets its own, even when several
    ask at the same moment. Raises UserError when the name is in use or the folder cannot be written.
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
            raise UserError(f"{what} cannot be created ({error.strerror})") from error
        raise


def _named(new: Path, results_dir: Path, name: str | None, models: Sequence[str]) -> Path:
    """Renames `new` to the name, or to the first free one. Raises UserError when the name is in use.

    Making an empty folder reserves a name, because only one process can make it. A rename alone would replace the
    empty folder of another process.
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
    """Locks an existing run. Raises UserError when another driver uses it, or when it cannot be written."""
    path = results_dir / name
    try:
        return RunFolder(path, _locked(path))
    except BlockingIOError:
        raise UserError(f"--resume {name}: another driver is using {path}") from None
    except OSError as error:
        raise UserError(f"--resume {name}: {path} cannot be written ({error.strerror})") from error


def stem(models: Sequence[str]) -> str:
    """What a run without a name is called: the architectures and the time."""
    # Of a user's FILE.py:NAME without its folder; a colon is none of a file name's letters on every system.
    first = models[0].rpartition("/")[2].replace(":", "-")
    what = first if len(models) == 1 else f"{first}+{len(models) - 1}"
    return f"{what}-{datetime.now():%Y%m%d-%H%M%S}"


def _names(models: Sequence[str]) -> Iterator[str]:
    """Yields such names without end, in the order in which they are tried."""
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
