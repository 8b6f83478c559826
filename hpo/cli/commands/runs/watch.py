"""`hpo watch`: the page of a run while it works."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread

from hpo.cli.command import run_command
from hpo.store.listing import is_worked_on
from hpo.store.stored_run import read_run
from hpo.system.errors import UserError

POLL_S = 0.5
LAST_LOOK_S = 6.0  # for browsers to load the page of the end


def main(argv: Sequence[str]) -> int:
    """Runs `hpo watch ...`; returns its exit code."""
    return run_command("watch", _watch, argv)


def _watch(run: Path, /, *, port: int = 0) -> None:
    """Serves the page of a run on this machine while the run works. The browser loads it anew when a trial has ended.
    The address has a secret part. The command ends with the run, or with Ctrl-C.

    Parameters
    ----------
    run
        A run: NAME, or its folder.
    port
        The port on this machine. Other machines cannot reach it. [default: any free one]
    """
    stored = read_run(run)
    if not is_worked_on(stored.path):
        file = stored.path / "report.html"
        where = f"its page: {file}" if file.exists() else f"hpo report {run} makes its page"
        print(f"{stored.name}: nothing works on it; {where}")
        return
    if not 0 <= port <= 65535:
        raise UserError(f"--port {port}: is not between 0 and 65535")
    from hpo.views.page.live import LivePage

    try:
        page = LivePage(stored.path, port)
    except OSError as error:
        raise UserError(f"--port {port}: cannot be used ({error.strerror}); leave it out for a free one") from error
    Thread(target=page.serve_forever, daemon=True).start()
    with suppress(KeyboardInterrupt):
        print(page.url, flush=True)
        while is_worked_on(stored.path):
            time.sleep(POLL_S)
        time.sleep(LAST_LOOK_S)
    page.shutdown()
