"""The only place that starts or joins Ray."""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cluster.auth import HOW, own_token, use_token
from cluster.errors import ClusterError
from cluster.host.ports import reach
from cluster.host.processes import descendants, end_all
from cluster.host.scratch import scratch_folder
from cluster.host.worker_logs import keep_worker_logs

# Read by Ray's processes when they start, and by Tune when it runs. Each can be overridden. (RAY_AUTH_MODE
# is left alone: a local Ray then makes and asks for a token, which its ports, open on every interface, need.)
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's own memory monitor ends the whole Tune run (the exception it raises is no actor error);
    # without it the kernel kills one worker, which is an ordinary trial failure.
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
    # What a network prints is kept up to so much, of each worker and stream, and as much again in an older file.
    "RAY_ROTATION_MAX_BYTES": "5000000",
    "RAY_ROTATION_BACKUP_COUNT": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours tells the run to end and remembers that it was asked
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's state files are not used: resume reads the journal
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}

PATIENCE_S = 5.0
END_S = 5.0  # for Ray's processes to end by themselves
logger = logging.getLogger(__name__)


@contextmanager
def connect(address: str | None, cpus: int | None = None, logs: Path | None = None) -> Iterator[Path]:
    """Starts a local Ray of `cpus` CPUs (default: all), or joins the cluster at `address`.

    Where Ray is already initialized (a notebook, a test), that one is used and left running. A local one is
    ended on leaving, and its session folder removed; what its workers printed is kept in `logs`.
    Yields the folder of Ray's session. Raises ConnectionError, in one line, if the cluster does not answer, or where
    a local one has no folder for its temporary files.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield _session(ray._private.worker.global_worker.node)
        return
    with _started(cpus, logs) if address is None else _joined(address) as session, _quiet():
        yield session


@contextmanager
def _joined(address: str) -> Iterator[Path]:
    import ray

    resolved = check_cluster(address)
    try:
        session = _init(address=resolved)
    except (ConnectionError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ConnectionError(f"--address {address}: the cluster there cannot be joined ({reason})") from error
    try:
        yield session
    finally:
        ray.shutdown()


@contextmanager
def _started(cpus: int | None, logs: Path | None) -> Iterator[Path]:
    """A Ray of our own, in a folder of its own: nothing of it is left."""
    import ray

    own_token()
    with scratch_folder() as folder:
        try:
            # "local" also where a file of a Ray that was killed still names a cluster to join.
            yield _init(address="local", num_cpus=cpus, include_dashboard=False, _temp_dir=str(folder))
        finally:
            processes = _processes()
            ray.shutdown()
            end_all(processes, END_S)
            with suppress(OSError):  # a full disk must not hide how the run ended
                keep_worker_logs(folder, logs)


def session_folder() -> Path:
    """Of the Ray that this process is connected to; on another machine it may not be there."""
    import ray

    return _session(ray._private.worker.global_worker.node)


def _processes() -> list[int]:
    """Ray's own, and those that they started."""
    import ray

    node = ray._private.worker._global_node
    kinds: list[Any] = list(node.all_processes.values()) if node else []
    started = [info.process.pid for kind in kinds for info in kind]
    return [*started, *(pid for parent in started for pid in descendants(parent))]


def _init(**options: Any) -> Path:
    """ray.init, after which the signals are still ours; returns the session's folder."""
    import ray
    from ray._private import utils

    mask = os.umask(0o077)  # Ray writes its token and its logs readable for everyone
    taken, utils.set_sigterm_handler = utils.set_sigterm_handler, lambda handler: None
    try:
        context: Any = ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    finally:
        utils.set_sigterm_handler = taken
        os.umask(mask)
    return Path(context.address_info["session_dir"])


def _session(node: Any) -> Path:
    return Path(node.get_session_dir_path())


def check_cluster(address: str) -> str:
    """HOST:PORT of the cluster at `address` (auto or HOST:PORT), if it would take us: it answers, knows our token and
    runs our versions of Ray and Python. Raises ConnectionError, in one line and within seconds, if not.
    """
    try:
        use_token()
    except ConnectionError as error:
        raise ConnectionError(f"--address {address}: {error}") from error
    resolved = _answering(address)
    _check_versions(address, _metadata(address, resolved))
    return resolved


def _answering(address: str) -> str:
    """HOST:PORT of the cluster at `address`; ConnectionError unless something listens there.

    Asked first, because Ray itself tries for ten minutes, and talks about it.
    """
    from ray._private.services import canonicalize_bootstrap_address

    try:
        resolved = canonicalize_bootstrap_address(address) if address == "auto" else address
        if resolved is None:
            raise ClusterError("there is no Ray on this machine to join")
        reach(resolved)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConnectionError(f"--address {address}: no Ray cluster answers there ({error})") from error
    return resolved


def _metadata(address: str, resolved: str) -> dict[str, str]:
    """What the head says of itself; ConnectionError where it does not know our token. Ray itself would try for twenty
    seconds and then not say why."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.exceptions import AuthenticationError

    with _no_stderr():  # Ray's C++ has its own words for it
        try:
            answer = GcsClient(address=resolved).internal_kv_get(b"CLUSTER_METADATA", b"cluster", timeout=PATIENCE_S)
        except AuthenticationError as error:
            had = os.environ.get("RAY_AUTH_MODE") == "token"
            what = "does not take this token" if had else "asks for a token"
            raise ConnectionError(f"--address {address}: the cluster there {what}: {HOW}") from error
    return dict(json.loads(answer or b"{}"))


def _check_versions(address: str, metadata: dict[str, str]) -> None:
    """Ray's processes understand each other in one version only, of Ray and of Python."""
    import ray

    ours = {"ray_version": ray.__version__, "python_version": platform.python_version()}
    for key, version in ours.items():
        what, theirs = key.partition("_")[0].capitalize(), metadata.get(key, version)
        if theirs != version:
            raise ConnectionError(
                f"--address {address}: the cluster there has {what} {theirs}, this is {what} {version}"
            )


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


@contextmanager
def _quiet() -> Iterator[None]:
    """What Ray tells of other nodes (one was lost, say) goes to the log and not to the terminal."""
    from ray._private import worker

    def log(data: dict[str, Any], *_: Any, **__: Any) -> None:
        logger.info("%s: %s", data.get("pid"), "\n".join(map(str, data.get("lines", ()))))

    before, worker.print_to_stdstream = worker.print_to_stdstream, log
    try:
        yield
    finally:
        worker.print_to_stdstream = before
