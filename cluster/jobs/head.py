"""The cluster's side of a submitted run: starts it on the head and hands its results out.

python -m cluster.jobs.head JOB NAME

The flags of the run are in a file: what a job is called with, the dashboard shows.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cluster.connect import connect
from cluster.errors import BAD_INPUT, SIGNALLED, ClusterError
from cluster.jobs.package import EXTRA, FLAGS, REQUIREMENTS
from cluster.jobs.requirements import missing
from cluster.jobs.results import archive_name, check_same, publish, trials_in

INTERVAL_S = 15.0


def main(argv: Sequence[str]) -> int:
    """Runs hpo/run.py with the flags that came along; returns its exit code."""
    job, name = argv
    flags, needed = (json.loads((Path(EXTRA) / file).read_text(encoding="utf-8")) for file in (FLAGS, REQUIREMENTS))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # the run gets them too, and ends well; this waits for it
    address = os.environ["RAY_ADDRESS"]
    try:
        _check_requirements(needed)
        folder = _results() / name
        with connect(address) as session:
            archive = session / "logs" / archive_name(job)
        _take_over(Path(EXTRA) / "resume" / name, folder)
    except ClusterError as error:
        print(f"hpo: {error}")
        return BAD_INPUT
    return _run([*flags, "--address", address, "--results-dir", "results"], folder, archive)


def _check_requirements(needed: Sequence[str]) -> None:
    if lacking := missing(needed):
        where = f"Python {platform.python_version()}, {sys.executable}"
        raise ClusterError(
            f"the head's Python ({where}) lacks {', '.join(lacking)}: install Podium's requirements on all nodes"
        )


def _run(flags: Sequence[str], folder: Path, archive: Path) -> int:
    """Runs hpo/run.py, hands its results out now and then, and returns its exit code."""
    run = subprocess.Popen([sys.executable, "hpo/run.py", *flags])
    while True:
        with suppress(subprocess.TimeoutExpired):
            code = run.wait(INTERVAL_S)
            break
        _publish(folder, archive, whole=False)
    for path in _publish(folder, archive, whole=True):
        print(f"note: {path} on the head is too large to be brought back", flush=True)
    return code if code >= 0 else SIGNALLED - code


def _results() -> Path:
    """Makes `results` a link to the head's own folder of runs, which outlives the job; returns it."""
    kept = Path.home() / "podium-results"
    kept.mkdir(exist_ok=True)
    shown = Path("results")
    if not shown.is_symlink():
        shutil.rmtree(shown, ignore_errors=True)
        shown.symlink_to(kept)
    return shown


def _take_over(sent: Path, folder: Path) -> None:
    """Replaces the head's own run with the one that came along to be continued, unless the head's has more trials."""
    if not sent.is_dir():
        return
    check_same(sent, folder)
    if trials_in(sent) > trials_in(folder):
        for left in folder.glob("study.db-*"):
            left.unlink()  # of the database that is replaced; the one that was sent may bring its own
        shutil.copytree(sent, folder, dirs_exist_ok=True)


def _publish(folder: Path, archive: Path, whole: bool) -> list[str]:
    if not (folder / "study.json").exists():
        return []
    try:
        return publish(folder, archive, whole)
    except Exception as error:  # the run itself is not to suffer
        print(
            f"note: results could not be handed out ({error}); they are in {folder.resolve()} on the head", flush=True
        )
        return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
