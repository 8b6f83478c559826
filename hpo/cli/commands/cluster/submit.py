"""`hpo submit`: runs a command line on a Ray cluster."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cluster.jobs.client import ClusterLost, Jobs
from cluster.submit import dry_run, follow, submit
from hpo.cli.command import run_command
from hpo.cli.submission import make_job
from hpo.spec.checks import check_name, unknown
from hpo.spec.settings import SWITCH
from hpo.system.errors import BAD_INPUT, FAILED, UserError

DASHBOARD = "http://127.0.0.1:8265"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SubmitSpec:
    """The cluster, and what to do with the job."""

    address: str | None = None
    """The address of the cluster's dashboard, http://HEAD:8265.
    [default: $RAY_API_SERVER_ADDRESS, or http://127.0.0.1:8265]"""
    follow: str | None = None
    """Shows the output of a submitted job, and copies its results here."""
    stop: str | None = None
    """Asks a job to finish early and to save its results. --follow copies them here."""
    detach: Annotated[bool, SWITCH] = False
    """Submits the job, and returns at once."""
    dry_run: Annotated[bool, SWITCH] = False
    """Prints the job, but does not submit it."""
    results_dir: Path = Path("results")
    """The folder that --follow copies results to. For a new job, give --results-dir after the --."""

    def __post_init__(self) -> None:
        asked = [f"--{name}" for name in ("follow", "stop", "detach", "dry_run") if getattr(self, name)]
        if len(asked) > 1:
            raise UserError(f"{' '.join(asked)}: choose one".replace("_", "-"))

    @property
    def dashboard(self) -> str:
        """The address that holds: the flag's, or the environment's, or this machine's."""
        return self.address or os.environ.get("RAY_API_SERVER_ADDRESS") or DASHBOARD


def main(argv: Sequence[str]) -> int:
    """Runs `hpo submit [FLAG ...] -- (flags of hpo run)`; returns its exit code, or the job's if it follows the job."""
    words = list(argv)
    cut = words.index("--") if "--" in words else len(words)
    line = words[cut + 1 :] if cut < len(words) else None

    def run(*, spec: Annotated[SubmitSpec, Parameter(name="*")] = SubmitSpec()) -> int:
        """Submits a run to a Ray cluster, shows its output, and copies its results here.

        Example: hpo submit --address http://HEAD:8265 -- --model cnn --trials 50
        """
        try:
            return _submit(spec, line)
        except ConnectionError as error:
            print(f"hpo: {error}", file=sys.stderr)
            return FAILED if isinstance(error, ClusterLost) else BAD_INPUT

    return run_command("submit", run, words[:cut])


def _submit(spec: SubmitSpec, line: list[str] | None) -> int:
    known = spec.follow or spec.stop
    if known and line is not None:
        raise UserError(
            f"{'--follow' if spec.follow else '--stop'} {known}: cannot be combined with the flags of a run"
        )
    if known:
        return _known(spec, Jobs(spec.dashboard), known)
    if line is None:
        raise UserError("give the flags of the run after a --, as in: hpo submit -- --model cnn --trials 50")
    run = make_job(line)
    if run is None:
        return 0
    job = f"{re.sub('[^A-Za-z0-9._-]', '-', run.name)}-{secrets.token_hex(3)}"  # the name becomes part of URLs
    if spec.dry_run:
        dry_run(spec.dashboard, run, job)
        return 0
    jobs = submit(spec.dashboard, run, job)
    if spec.detach:
        print(f"follow:  hpo submit --address {spec.dashboard} --follow {job}")
        print(f"stop:    hpo submit --address {spec.dashboard} --stop {job}")
        return 0
    return follow(jobs, job, run.target, run.own)


def _known(spec: SubmitSpec, jobs: Jobs, job: str) -> int:
    """Handles --stop and --follow."""
    details = jobs.status(job)
    name = (details.metadata or {}).get("podium_name") if details else None
    if name is None:
        raise unknown(f"{'--follow' if spec.follow else '--stop'} {job}", job, jobs.names() or ["none"])
    if spec.stop:
        jobs.stop(job)
        print(f"The job {job} is stopping. To get its results: hpo submit --address {spec.dashboard} --follow {job}")
        return 0
    check_name("--follow", name)  # it comes from the cluster, and becomes a path here
    return follow(jobs, job, spec.results_dir / name)
