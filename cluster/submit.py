"""Submits a run to a Ray cluster and brings its results back.

python cluster/submit.py --address http://HEAD:8265 -- --model cnn --trials 50
"""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

if __name__ == "__main__":
    # As a script, cluster/ itself leads sys.path; the root belongs there.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from cluster.errors import BAD_INPUT, FAILED, INTERRUPTED
from cluster.jobs.client import ClusterLost, Jobs
from cluster.jobs.package import FLAGS, MIB, REQUIREMENTS, make_package
from cluster.jobs.requirements import requirements
from cluster.jobs.results import trials_in, unpack

MIRROR_S = 20.0


@dataclass(frozen=True)
class Job:
    """A run as a job."""

    name: str
    """The name of the run."""
    flags: tuple[str, ...]
    """The flags of hpo/run.py, with --name or --resume among them."""
    shown: str
    """The same flags in one line, without passwords."""
    target: Path
    """results/NAME on this machine."""
    project: Path
    """The folder that travels."""
    extra: Mapping[str, Path] = field(default_factory=dict)
    """Further files and folders that travel, by their names in the package's _podium/."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of the job."""
    own: str = ""
    """The flag that resumes a run with architectures of the user's own."""

    def entrypoint(self, job: str) -> str:
        """The command that the cluster's head runs."""
        return shlex.join(["python", "-m", "cluster.jobs.head", job, self.name])


def dry_run(address: str, run: Job, job: str) -> None:
    """Prints what would be submitted; asks the cluster nothing."""
    with tempfile.TemporaryDirectory() as folder:
        files, size = _package(run, Path(folder))
    print(f"to:       {address}")
    print(f"job:      {job}")
    print(f"runs:     python hpo/run.py {run.shown}")
    print(f"by:       {run.entrypoint(job)}")
    for name, value in run.variables.items():
        print(f"with:     {name}={value}")
    print(f"uploads:  {files} files of {run.project}, {size / MIB:.1f} MiB zipped")
    for name, path in run.extra.items():
        print(f"          and {path} as _podium/{name}")
    print(f"results:  come back to {run.target}")


def submit(address: str, run: Job, job: str) -> Jobs:
    """Starts the run on the cluster; raises ConnectionError or ClusterError, in one line, where it cannot."""
    jobs = Jobs(address)
    host = urlsplit(address).hostname or ""
    if address.startswith("http://") and host not in ("localhost", "::1") and not host.startswith("127."):
        print(
            f"note: your token and results travel unencrypted to {host}; a tunnel encrypts them: "
            f"ssh -L 8265:localhost:8265 {host}"
        )
    with tempfile.TemporaryDirectory() as folder:
        files, size = _package(run, Path(folder))
        print(f"uploads: {files} files of {run.project}, {size / MIB:.1f} MiB zipped")
        metadata = {"podium_name": run.name}
        package = str(Path(folder) / "podium.zip")
        # Before it is sent: whoever loses the answer can still ask for the job.
        print(f"job:     {job} on {address}", flush=True)
        jobs.submit(job, run.entrypoint(job), package, dict(run.variables), metadata)
    return jobs


def follow(jobs: Jobs, job: str, target: Path, own: str = "") -> int:
    """Shows the job's output, keeps its results in `target` up to date, and returns its exit code. `own`: see Job.

    Ctrl-C asks the job to end well and waits until it has ended; a second Ctrl-C leaves the job running. Raises
    ConnectionError where the cluster is lost.
    """
    stopped = False
    with _Mirror(jobs, job, target) as mirror:
        while True:
            try:
                details = jobs.follow(job, _show)
                break
            except KeyboardInterrupt:
                if stopped:
                    print(f"\nhpo: the job runs on; follow it with: {_again(jobs, '--follow', job)}", file=sys.stderr)
                    return INTERRUPTED
                stopped = True
                print("\nThe job is asked to end. Press Ctrl-C again to leave it running.", flush=True)
                jobs.stop(job)
            except ClusterLost as error:
                have = (
                    f"{mirror.fetched} of its results in {target}" if mirror.fetched else "nothing of it had come back"
                )
                raise ClusterLost(
                    f"{error}; {have}. If the cluster comes back: {_again(jobs, '--follow', job)}; on a new one: "
                    f"hpo submit --address ... -- --resume {shlex.quote(target.name)}{own}"
                ) from error
    if details is None:
        raise ClusterLost(f"--address {jobs.address}: there is no job {job} any more")
    try:
        return _end(jobs, job, target, own, details)
    except ConnectionError as error:
        raise ClusterLost(
            f"{error}; the job has ended; bring its results with: {_again(jobs, '--follow', job)}"
        ) from error


def _end(jobs: Jobs, job: str, target: Path, own: str, details: Any) -> int:
    """Brings the results and returns the exit code of a job that has ended."""
    from ray.job_submission import JobStatus  # not at the top: --help needs no Ray

    code = details.driver_exit_code
    if code is None:
        code = INTERRUPTED if details.status is JobStatus.STOPPED else FAILED
    content = jobs.fetch(job)
    if content is None and code != BAD_INPUT:
        print(f"hpo: the job sent no results; they are on the head, in podium-results/{target.name}", file=sys.stderr)
        code = code or FAILED
    if content is not None:
        brought = unpack(content, target)
        what = "results downloaded to: {}" if brought else "kept: {}, which has more trials than the job"
        print(what.format(target), flush=True)
    if details.status is JobStatus.FAILED and details.driver_exit_code is None:
        print(f"hpo: the job failed: {' '.join((details.message or 'no reason given').split())[:500]}", file=sys.stderr)
    if code and content is not None:
        go_on = f"hpo submit --address {jobs.address} -- --resume {shlex.quote(target.name)}{own}"
        print(f"hpo: on the cluster, go on with: {go_on}", file=sys.stderr)
    return int(code)


class _Mirror:
    """Fetches the job's results now and then, so that they outlive the cluster."""

    def __init__(self, jobs: Jobs, job: str, target: Path) -> None:
        self.jobs, self.job, self.target = jobs, job, target
        self.fetched = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)

    def __enter__(self) -> _Mirror:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(MIRROR_S):
            with suppress(OSError, ValueError):
                if content := self.jobs.fetch(self.job):
                    unpack(content, self.target)
                    self.fetched = f"{trials_in(self.target)} trials"


def _package(run: Job, folder: Path) -> tuple[int, int]:
    """Makes folder/podium.zip; returns its files and bytes."""
    (folder / FLAGS).write_text(json.dumps(run.flags))
    (folder / REQUIREMENTS).write_text(json.dumps(requirements()))
    own = {name: folder / name for name in (FLAGS, REQUIREMENTS)}
    files = make_package(folder / "podium.zip", run.project, {**run.extra, **own})
    return files, (folder / "podium.zip").stat().st_size


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _again(jobs: Jobs, flag: str, job: str) -> str:
    return f"hpo submit --address {jobs.address} {flag} {job}"


if __name__ == "__main__":
    # The command line is that of `hpo submit`, which knows the flags of a run.
    from hpo.cli.commands.cluster.submit import main

    sys.exit(main(sys.argv[1:]))
