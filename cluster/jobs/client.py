"""A cluster's Jobs API, from any machine that reaches its dashboard: submit, follow, stop, fetch results."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from cluster.auth import headers, token_error, use_token
from cluster.errors import START_ONE, ClusterError, address_error
from cluster.host.ports import reach
from cluster.jobs.results import archive_name
from cluster.ray_private import server_version

PATIENCE_S = 30.0  # for a connection that was lost
SILENCE_S = 20.0
STOPPING_S = 60
REQUEST_S = 60.0


class ClusterLost(ConnectionError):
    """The cluster has not answered for a while; the job may go on there."""


class Jobs:
    """The jobs of the cluster whose dashboard is at `address`, http(s)://HOST:PORT.

    Raises ConnectionError, in one line and within seconds, if it does not answer, does not know our token or runs
    another Ray.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        with _in_one_line(self.address):
            _reach(self.address)
            use_token()
            from ray.job_submission import JobSubmissionClient

            for chatty in ("dashboard_sdk", "job.sdk"):
                logging.getLogger(f"ray.dashboard.modules.{chatty}").setLevel(logging.WARNING)
            self._client: Any = JobSubmissionClient(self.address)
            _check_version(server_version(self._client))

    def submit(
        self, job: str, entrypoint: str, package: str, variables: dict[str, str], metadata: dict[str, str]
    ) -> None:
        """Starts `entrypoint` under the id `job`, with the files of the zip file `package` around it. A second call
        with the same id (the answer to the first was lost, say) starts nothing."""
        stop = {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": str(STOPPING_S)}
        environment = {"working_dir": package, "env_vars": {**variables, **stop}}
        until = time.monotonic() + PATIENCE_S
        with _in_one_line(self.address):
            while self.status(job) is None:
                try:
                    self._client.submit_job(
                        entrypoint=entrypoint, submission_id=job, runtime_env=environment, metadata=metadata
                    )
                except RuntimeError as error:
                    # A cluster that has just come up answers before it takes jobs.
                    if "try again later" not in str(error) or time.monotonic() > until:
                        raise
                    time.sleep(2)

    def status(self, job: str) -> Any:
        """Ray's JobDetails, or None for a job that is not there."""
        with _in_one_line(self.address):
            return next((found for found in self._client.list_jobs() if found.submission_id == job), None)

    def all(self) -> list[Any]:
        """Ray's JobDetails of Podium's jobs on the cluster."""
        with _in_one_line(self.address):
            return [job for job in self._client.list_jobs() if "podium_name" in (job.metadata or {})]

    def names(self) -> list[str]:
        """The ids of Podium's jobs on the cluster."""
        return [job.submission_id for job in self.all()]

    def stop(self, job: str) -> None:
        """Asks the job to end well. After a minute the cluster kills it."""
        with _in_one_line(self.address):
            self._client.stop_job(job)

    def follow(self, job: str, show: Callable[[str], None]) -> Any:
        """Shows the job's output as it comes, each part once, also after a lost connection; returns its JobDetails
        when it has ended. Raises ClusterLost when the cluster does not answer for half a minute."""
        import aiohttp

        log, lost_at = _Log(show), None
        while True:
            try:
                _reach(self.address)
                whole = asyncio.run(log.read(self._client.tail_job_logs(job)))
                _reach(self.address)  # the next one would wait for ever for an answer that was lost on its way
                details = self.status(job)
                lost_at = None
                if details is None or (whole and details.status.is_terminal()):
                    return details
            except (OSError, RuntimeError, aiohttp.ClientError) as error:
                lost_at = lost_at or time.monotonic()
                if time.monotonic() - lost_at > PATIENCE_S:
                    raise ClusterLost(f"{self.address} does not answer any more") from error
            time.sleep(1)

    def fetch(self, job: str) -> bytes | None:
        """The newest archive that the job has left of its results; None where there is none yet."""
        import requests

        details = self.status(job)
        if details is None or details.driver_node_id is None:
            return None
        wanted = {
            "node_id": details.driver_node_id,
            "filename": archive_name(job),
            "lines": -1,
            "timeout": int(REQUEST_S),
        }
        with _in_one_line(self.address):
            answer = requests.get(
                f"{self.address}/api/v0/logs/file", params=wanted, headers=headers(), timeout=REQUEST_S
            )
        # Of a file that is not there Ray's dashboard now and then says that it is empty.
        return (answer.content or None) if answer.ok else None


class _Log:
    """A log that is read from its beginning each time. Each part of it is shown once."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self.show, self.shown = show, 0

    async def read(self, parts: AsyncIterator[str]) -> bool:
        """Shows what is new; returns True at the end, False when nothing comes for a while.

        Then the job may be silent, or the connection may be gone.
        """
        seen = 0
        while True:
            try:
                text = await asyncio.wait_for(anext(parts), SILENCE_S)
            except StopAsyncIteration:
                return True
            except TimeoutError:
                return False
            new = text[max(0, self.shown - seen) :]
            seen += len(text)
            if new:
                self.show(new)
                self.shown = seen


@contextmanager
def _in_one_line(address: str) -> Iterator[None]:
    """Turns whatever is wrong with the connection into a ConnectionError of one line."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ == "AuthenticationError":  # Ray's; its text is a page
            raise token_error(address, had_token="Missing" not in str(error)) from error
        if not isinstance(error, OSError | RuntimeError | ValueError | ImportError):
            raise
        if str(error).startswith("--address"):  # of a block within this one
            raise
        raise address_error(address, str(error)[:500]) from error


def _reach(address: str) -> None:
    url = urlsplit(address)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ClusterError("give the dashboard's URL, http://HOST:8265")
    try:
        reach(f"{url.hostname}:{url.port or (443 if url.scheme == 'https' else 80)}")
    except OSError as error:
        raise ConnectionError(f"no dashboard answers there ({error}); {START_ONE}") from error


def _check_version(theirs: str | None) -> None:
    import ray

    if theirs is None or theirs.split(".")[:2] != ray.__version__.split(".")[:2]:
        raise ConnectionError(f"the cluster there has Ray {theirs}, this is Ray {ray.__version__}")
