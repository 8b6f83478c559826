"""`hpo jobs`: the jobs that `hpo submit` has started on a cluster."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime

from rich.table import Table

from cluster.jobs.client import Jobs
from hpo.cli.command import run_command
from hpo.cli.commands.cluster.submit import SubmitSpec
from hpo.system.errors import BAD_INPUT
from hpo.system.terminal import console
from hpo.system.text import shown
from hpo.views.formats import moment


def main(argv: Sequence[str]) -> int:
    """Runs `hpo jobs`; returns its exit code."""
    return run_command("jobs", _jobs, argv)


def _jobs(*, address: str | None = None) -> int:
    """Lists the jobs on a cluster: name of the run, state and start.

    Parameters
    ----------
    address
        The address of the cluster's dashboard, http://HEAD:8265. [default: $RAY_API_SERVER_ADDRESS, or
        http://127.0.0.1:8265]
    """
    try:
        found = Jobs(SubmitSpec(address=address).dashboard).all()
    except ConnectionError as error:
        print(f"hpo: {error}", file=sys.stderr)
        return BAD_INPUT
    if not found:
        print("no jobs; start one with: hpo submit -- --model cnn --trials 50")
        return 0
    table = Table("job", "run", "state", "started", box=None, pad_edge=False)
    for job in sorted(found, key=lambda job: job.start_time or 0):
        began = moment(datetime.fromtimestamp((job.start_time or 0) / 1000))
        table.add_row(*map(shown, (job.submission_id, job.metadata["podium_name"], job.status.value.lower(), began)))
    console().print(table)
    return 0
