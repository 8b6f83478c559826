"""`hpo dashboard`: shows a run's study in optuna-dashboard, during the run or afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

from cluster.host.ports import answers
from hpo.cli.command import run_command
from hpo.store.stored_run import read_run
from hpo.system.errors import UserError


def main(argv: Sequence[str]) -> int:
    """Runs `hpo dashboard ...`; returns its exit code."""
    return run_command("dashboard", _dashboard, argv)


def _dashboard(run: Path, /, *, port: int = 8080) -> None:
    """Shows the study of a run in optuna-dashboard, at http://127.0.0.1:8080, until Ctrl-C.

    Parameters
    ----------
    run
        A run: NAME, or its folder.
    port
        The port on this machine. Other machines cannot reach it.
    """
    stored = read_run(run)
    name, study = stored.name, stored.spec
    if find_spec("optuna_dashboard") is None:
        raise UserError('hpo dashboard: needs optuna-dashboard: pip install -e ".[dashboard]"')
    if not 1 <= port <= 65535 or answers(f"127.0.0.1:{port}"):
        raise UserError(f"--port {port}: is in use, or not between 1 and 65535; give another one")
    if "storage" in study:
        raise UserError(
            f"{name}: its study is in the database {study['storage']}; use optuna-dashboard URL, with the password"
        )
    from optuna_dashboard import run_server

    print(f"{name}: http://127.0.0.1:{port}  (press Ctrl-C to stop)", flush=True)
    storage = f"sqlite:///{(stored.path / 'study.db').resolve()}"
    # Not in the main thread, which receives Ctrl-C: wsgiref loses one that arrives while it answers a request.
    server = Thread(target=run_server, args=(storage, "127.0.0.1", port), daemon=True)
    server.start()
    with suppress(KeyboardInterrupt):
        server.join()
