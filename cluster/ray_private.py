"""Everything that the `cluster` package uses of Ray and that Ray does not promise: read in Ray 2.60.

A new version of Ray is checked against this file first. Each part says why it is needed.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster import ROOT

# Ray's processes read these when they start, and Tune reads them when it runs. A user can override each of them.
# (RAY_AUTH_MODE is left alone. A local Ray then makes a token and asks for it: its ports are open on every interface.)
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's memory monitor ends the whole Tune run, because its exception is no actor error. Without the monitor the
    # kernel kills one worker, which is an ordinary failure of one trial.
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
    # What a network prints is kept up to this size for each worker and stream, and once more in an older file.
    "RAY_ROTATION_MAX_BYTES": "5000000",
    "RAY_ROTATION_BACKUP_COUNT": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Podium's own handler ends the run, and remembers that it was asked to
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's state files are not used: a resumed run reads the journal
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


def session_folder() -> Path:
    """The folder of the session that this process is connected to. Ray has no public way to ask for it."""
    import ray

    node: Any = ray._private.worker.global_worker.node
    return Path(node.get_session_dir_path())


def logs_folder() -> Path:
    """The folder of the logs of the node that this process is on, also on a worker."""
    import ray

    node: Any = ray._private.worker._global_node
    return Path(node.get_logs_dir_path())


def started_processes() -> list[int]:
    """The processes of the Ray that this process started. `ray.shutdown` does not wait for all of them."""
    import ray

    node = ray._private.worker._global_node
    kinds: Iterable[Any] = node.all_processes.values() if node else ()
    return [info.process.pid for kind in kinds for info in kind]


@contextmanager
def keep_sigterm_handler() -> Iterator[None]:
    """Keeps `ray.init` from replacing this process's handler of SIGTERM, for which it has no option."""
    from ray._private import utils

    theirs, utils.set_sigterm_handler = utils.set_sigterm_handler, lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = theirs


@contextmanager
def node_messages_to(log: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Hands Ray's messages about other nodes (a node was lost, say) to `log`. Ray itself prints them to the terminal,
    also with log_to_driver=False."""
    from ray._private import worker

    theirs, worker.print_to_stdstream = worker.print_to_stdstream, lambda data, *_, **__: log(data)
    try:
        yield
    finally:
        worker.print_to_stdstream = theirs


def job_config() -> Any:
    """The settings of a job whose workers import Podium's packages from where this process did.

    Ray puts the driver's current folder first on the search path of its workers, where a user's own package `models`
    would be taken for Podium's. Podium adds that folder itself, as the last one (hpo/worker/process.py).
    """
    from ray.job_config import JobConfig

    config = JobConfig()
    installed = sysconfig.get_paths()["purelib"]  # is on every search path, and must stay behind Python's own modules
    config._py_driver_sys_path = _FixedPath([] if str(ROOT) == installed else [str(ROOT)])
    return config


class _FixedPath(list[str]):
    """A search path to which Ray adds nothing."""

    def extend(self, _: Iterable[str]) -> None:
        return


def local_address() -> str | None:
    """HOST:PORT of the cluster that runs on this machine, None without one: what "auto" means to `ray.init`, which
    tries for minutes where nothing answers."""
    from ray._private.services import canonicalize_bootstrap_address

    found: str | None = canonicalize_bootstrap_address("auto")
    return found


def cluster_metadata(address: str, seconds: float) -> bytes | None:
    """What the head at HOST:PORT says of itself, as JSON with its versions. `ray.init` compares them too, but tries for
    twenty seconds and then does not say why it failed. Raises AuthenticationError where our token is not taken."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    with _no_stderr():  # Ray's C++ code prints its own words for a wrong token
        found: bytes | None = GcsClient(address=address).internal_kv_get(
            b"CLUSTER_METADATA", b"cluster", timeout=seconds
        )
    return found


def server_version(client: Any) -> str | None:
    """The version of Ray behind a JobSubmissionClient, which compares it only where it is very old."""
    version: str | None = client._server_ray_version
    return version


@contextmanager
def _no_stderr() -> Iterator[None]:
    with open(os.devnull, "wb") as nothing:
        kept = os.dup(2)
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
