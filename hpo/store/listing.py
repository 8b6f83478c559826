"""What is in a folder of results: searches of `hpo run`, and trainings of `hpo train`."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo.store.places import runs_in
from hpo.store.stored_run import StoredRun, read_run
from hpo.store.study_file import RunState
from hpo.system.errors import UserError
from hpo.trials.records import TrialRecord

TRAINING, DAMAGED = "training", "damaged"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A run, or a training, in a line."""

    path: Path
    state: str
    """A `RunState`, `TRAINING` or, where its files cannot be read, `DAMAGED`."""
    models: tuple[str, ...] = ()
    dataset: str = ""
    trials: int | None = None
    """Finished ones."""
    wanted: int | None = None
    """Trials that the run is to have."""
    validation: float | None = None
    """The metric of the best trial on the validation images."""
    test: float | None = None
    """The same of the best finalist on the test images."""
    began: str = ""
    """ISO 8601, UTC."""

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        found = 0
        for folder, _, names in os.walk(self.path):
            for name in names:
                with suppress(OSError):  # removed just now
                    found += os.lstat(os.path.join(folder, name)).st_size
        return found


def entries(results_dir: Path) -> Iterator[Entry]:
    """Yields what the folder holds, the newest first. A run that cannot be read says so in its state."""
    found = [_run(results_dir / name) for name in runs_in(results_dir)]
    found += [_training(path.parent) for path in results_dir.glob("*/train.json")]
    yield from sorted(found, key=lambda entry: (entry.began, entry.path.name), reverse=True)


def _run(path: Path) -> Entry:
    try:
        run = read_run(path)
        return _described(run)
    except (UserError, ValueError, KeyError, TypeError):
        return Entry(path=path, state=DAMAGED)


def _described(run: StoredRun) -> Entry:
    spec, ranked, finalists = run.spec, run.ranked(), run.finalists()
    models = tuple(run.study["models"])
    return Entry(
        path=run.path,
        state=_state(run),
        models=models,
        dataset=run.study["data"]["name"],
        trials=len(run.records),
        wanted=spec["trials"] * len(models) if "trials" in spec else None,
        validation=ranked[0].record.value if ranked else None,
        test=finalists[0].measured.mean if finalists else None,
        began=str(run.study["sessions"][0].get("started", "")) if run.study["sessions"] else "",
    )


def _state(run: StoredRun) -> str:
    """The state in study.json, which a driver that was killed leaves at running."""
    state = str(run.study["state"])
    return str(RunState.INTERRUPTED) if state == RunState.RUNNING and not is_worked_on(run.path) else state


def is_worked_on(run: Path) -> bool:
    """Whether a driver is at work in the folder of a run."""
    try:
        with (run / ".lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _training(path: Path) -> Entry:
    try:
        settings = _json(path / "train.json")
        best = _json(path / "best.json") if (path / "best.json").exists() else None
        return Entry(
            path=path,
            state=TRAINING,
            models=(settings["model"],),
            dataset=settings["data"]["name"],
            validation=TrialRecord.from_dict(best["trial"]).value if best else None,
            began=str(settings.get("started", "")),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Entry(path=path, state=DAMAGED)


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))
