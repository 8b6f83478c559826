"""`hpo dashboard`: a run's study in optuna-dashboard, while it runs or afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Annotated

from cyclopts import Parameter

from hpo.cli.command import run_command
from hpo.spec.checks import check_name
from hpo.system.errors import UserError

_RunName = Annotated[str, Parameter(help="Of a run in --results-dir.")]


def main(argv: Sequence[str]) -> int:
    """Runs `hpo dashboard ...`; returns its exit code."""
    return run_command("dashboard", _dashboard, argv)


def _dashboard(name: _RunName, /, *, results_dir: Path = Path("results"), port: int = 8080) -> None:
    """Serves the study of a run on http://127.0.0.1:8080 until Ctrl-C.

    Parameters
    ----------
    results_dir
        Where the run's folder is.
    port
        On this machine; no other one can reach it.
    """
    from cluster.host.ports import answers
    from hpo.store.stored_run import read_run

    check_name("NAME", name)
    study = read_run(results_dir / name).spec
    if find_spec("optuna_dashboard") is None:
        raise UserError('hpo dashboard: needs optuna-dashboard: pip install -e ".[dashboard]"')
    if not 1 <= port <= 65535 or answers(f"127.0.0.1:{port}"):
        raise UserError(f"--port {port}: is taken or no port; give another one")
    if "storage" in study:
        raise UserError(
            f"{name}: its study is in {study['storage']}: optuna-dashboard URL, with the password, shows it"
        )
    from optuna_dashboard import run_server

    print(f"{name}: http://127.0.0.1:{port}  (Ctrl-C ends it)", flush=True)
    storage = f"sqlite:///{(results_dir / name / 'study.db').resolve()}"
    # Not in the main thread, which has the interrupt: wsgiref swallows one that comes while it answers.
    server = Thread(target=run_server, args=(storage, "127.0.0.1", port), daemon=True)
    server.start()
    with suppress(KeyboardInterrupt):
        server.join()
