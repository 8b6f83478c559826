"""The only place that starts or joins Ray."""

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cluster.auth import HOW, use_token
from cluster.ports import reach

# Read by Ray's processes when they start, and by Tune when it runs. Each can be overridden. (RAY_AUTH_MODE
# is left alone: a local Ray then makes and asks for a token, which its ports, open on every interface, need.)
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's own memory monitor ends the whole Tune run (the exception it raises is no actor error);
    # without it the kernel kills one worker, which is an ordinary trial failure.
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours tells the run to end and remembers that it was asked
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's state files are not used: resume reads the journal
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}

PATIENCE_S = 5.0
logger = logging.getLogger(__name__)


@contextmanager
def connect(address: str | None, cpus: int | None = None, logs: Path | None = None) -> Iterator[Path]:
    """Starts a local Ray of `cpus` CPUs (default: all), or joins the cluster at `address`.

    Where Ray is already initialized (a notebook, a test), that one is used and left running. A local one is
    ended on leaving, and its session folder removed; what its workers printed is kept in `logs`.
    Yields the folder of Ray's session. Raises ConnectionError, in one line, if the cluster does not answer.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield _session(ray._private.worker.global_worker.node)
        return
    session = _start(address, cpus)
    try:
        with _quiet():
            yield session
    finally:
        ray.shutdown()
        if address is None:
            with suppress(OSError):  # a full disk must not hide how the run ended
                _keep_worker_logs(session / "logs", logs)
            shutil.rmtree(session, ignore_errors=True)


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


def _start(address: str | None, cpus: int | None) -> Path:
    import ray

    if address is not None:
        address = check_cluster(address)
    mask = os.umask(0o077)  # Ray writes its token and its logs readable for everyone
    try:
        # "local" also where a file of a Ray that was killed still names a cluster to join.
        context: Any = ray.init(
            address=address or "local",
            num_cpus=cpus if address is None else None,
            include_dashboard=False if address is None else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError) as error:
        if address is None:
            raise
        reason = " ".join(str(error).split())
        raise ConnectionError(f"--address {address}: the cluster there cannot be joined ({reason})") from error
    finally:
        os.umask(mask)
    return Path(context.address_info["session_dir"])


def _answering(address: str) -> str:
    """HOST:PORT of the cluster at `address`; ConnectionError unless something listens there.

    Asked first, because Ray itself tries for ten minutes, and talks about it.
    """
    from ray._private.services import canonicalize_bootstrap_address

    try:
        resolved = canonicalize_bootstrap_address(address) if address == "auto" else address
        if resolved is None:
            raise ValueError("there is no Ray on this machine to join")
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


def _keep_worker_logs(session_logs: Path, logs: Path | None) -> None:
    if logs is None:
        return
    for file in session_logs.glob("worker-*"):
        lines = file.read_bytes().splitlines()
        # Lines that begin with a colon are Ray's own marks of which actor wrote the next ones.
        if any(not line.startswith(b":") for line in lines):
            shutil.copy(file, logs / file.name)
