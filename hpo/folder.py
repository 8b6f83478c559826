"""results/NAME: made whole or not at all, locked while a driver uses it, never overwritten."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from hpo.journal import write_atomically, write_json
from hpo.studyfile import read_study
from hpo.tables import trials_frame


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
    if name is not None and (results_dir / name).exists():
        resume = f"go on with it by --resume {name}, or " if (results_dir / name / "study.json").exists() else ""
        raise ValueError(f"--name {name}: {results_dir / name} is there already; {resume}take another name")


def create(results_dir: Path, name: str, study: dict[str, Any]) -> RunFolder:
    """Makes results_dir/name with study.json and an empty trials.csv in it; raises as `make_whole`."""
    lock = -1

    def fill(new: Path) -> None:
        nonlocal lock
        lock = _locked(new)
        folder = RunFolder(new, lock)
        folder.write_study(study)
        write_atomically(folder.trials_csv, trials_frame([]).to_csv(index=False))
        folder.logs.mkdir()

    return RunFolder(make_whole(results_dir, name, fill), lock)


def make_whole(results_dir: Path, name: str, fill: Callable[[Path], None]) -> Path:
    """Makes results_dir/name with what `fill` puts into it, in one step.

    Raises ValueError if it is there already or the folder cannot be written.
    """
    target = results_dir / name
    check_free(results_dir, name)
    try:
        results_dir.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=results_dir, prefix=".new-"))
    except OSError as error:
        raise ValueError(f"--results-dir {results_dir}: cannot be written ({error.strerror})") from error
    try:
        fill(new)
        new.chmod(0o755)
        os.rename(new, target)
    except BaseException as error:
        shutil.rmtree(new, ignore_errors=True)
        if isinstance(error, OSError):
            raise ValueError(f"--name {name}: {target} cannot be made ({error.strerror})") from error
        raise
    return target


def reopen(results_dir: Path, name: str) -> RunFolder:
    """Locks an existing run; ValueError if another driver is at work in it."""
    path = results_dir / name
    try:
        return RunFolder(path, _locked(path))
    except BlockingIOError:
        raise ValueError(f"--resume {name}: another driver is at work in {path}") from None
    except OSError as error:
        raise ValueError(f"--resume {name}: {path} cannot be written ({error.strerror})") from error


def free_name(results_dir: Path, models: tuple[str, ...]) -> str:
    """A name nobody has: the architectures and the time."""
    what = models[0] if len(models) == 1 else f"{models[0]}+{len(models) - 1}"
    stem = f"{what}-{datetime.now():%Y%m%d-%H%M%S}"
    names = [stem, *(f"{stem}-{n}" for n in range(2, 100))]
    return next(name for name in names if not (results_dir / name).exists())


def _locked(path: Path) -> int:
    lock = os.open(path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock
