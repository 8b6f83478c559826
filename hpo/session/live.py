"""--live: the page of the run at work, served by a process of its own, which ends with the run."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def serve_live_page(run: Path, hear: Callable[[str], None]) -> None:
    """Starts `hpo watch` for the folder of a run that is locked, and lets its address be heard when it has one.

    In a session of its own: Ctrl-C is for the run, and the page is there until the run has ended.
    """
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [sys.executable, "-m", "hpo", "watch", str(run.resolve())],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )

    def tell_address() -> None:
        assert process.stdout
        if line := process.stdout.readline().strip():
            hear(f"live:    {line}")

    threading.Thread(target=tell_address, daemon=True).start()
