"""The only place that starts or joins Ray."""

from __future__ import annotations

import atexit
import gc
import json
import logging
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from cluster.auth import token_error, use_token
from cluster.errors import START_ONE, ClusterError, address_error
from cluster.host.ports import reach
from cluster.host.worker_logs import keep_worker_logs
from cluster.own_ray.starting import OwnRay, own_ray
from cluster.ray_environment import ENVIRONMENT
from cluster.ray_private import (
    cluster_metadata,
    job_config,
    keep_sigterm_handler,
    local_address,
    node_messages_to,
    session_folder,
    use_own_token,
)

PATIENCE_S = 5.0
logger = logging.getLogger(__name__)


@contextmanager
def connect(
    address: str | None,
    cpus: int | None = None,
    logs: Path | None = None,
    own: OwnRay | None = None,
    keep: bool = False,
) -> Iterator[Path]:
    """Starts a local Ray of `cpus` CPUs (default: all), or joins the cluster at `address`.

    Where Ray is already initialized (in a notebook or a test), that Ray is used and keeps running. A local Ray ends
    with this context, and its session folder is removed; what its workers printed is kept in `logs`. own: the local
    Ray that is `begun` already. keep: this process leaves it, and it does not end. Yields the folder of Ray's session.
    Raises ConnectionError, in one line, if the cluster does not answer, or a local Ray cannot be started.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield session_folder()
        return
    local = _started(cpus, logs, own, keep) if address is None else _joined(address)
    with local as session, node_messages_to(_log):
        yield session


@contextmanager
def begun(cpus: int, preload: Sequence[str], keep: bool = False) -> Iterator[OwnRay | None]:
    """A local Ray that is starting, for `connect` to join later; it ends with this context at the latest.

    preload: modules that its workers find imported. keep: it ends with this process instead, and is there for the next
    call. None where Ray is initialized already, or where there is no folder for its temporary files: `connect` then
    says so.
    """
    with ExitStack() as at_end:
        own = None
        ray = sys.modules.get("ray")
        if not (ray and ray.is_initialized()):
            with suppress(ConnectionError):
                own = _kept_ray(cpus, preload) if keep else at_end.enter_context(own_ray(cpus, preload))
        yield own


_kept: OwnRay | None = None


def _kept_ray(cpus: int, preload: Sequence[str]) -> OwnRay:
    """The local Ray of this process, which ends with it. Raises ConnectionError as `own_ray` does."""
    global _kept
    if _kept is None or not _kept.is_alive:
        until_exit = ExitStack()
        _kept = until_exit.enter_context(own_ray(cpus, preload))
        atexit.register(until_exit.close)
    return _kept


@contextmanager
def _joined(address: str) -> Iterator[Path]:
    resolved = check_cluster(address)
    try:
        session = _init(address=resolved)
    except (ConnectionError, RuntimeError) as error:
        raise address_error(address, f"the cluster there cannot be joined ({error})") from error
    try:
        yield session
    finally:
        _leave()


@contextmanager
def _started(cpus: int | None, logs: Path | None, own: OwnRay | None, keep: bool) -> Iterator[Path]:
    """Joins the Ray that is starting, or one that is started now, and leaves nothing of it unless it is kept."""
    with nullcontext(own) if own else own_ray(cpus) as local:
        address = local.address
        use_own_token()
        try:
            yield _init(address=address)
        finally:
            _leave()
            if not keep:
                local.end()
            with suppress(OSError):  # a full disk must not hide how the run ended
                keep_worker_logs(local.folder, logs)


def _leave() -> None:
    """Calls ray.shutdown. The garbage collector, which any thread may run, must not free a reference to an object
    meanwhile: Ray's C++ code would end the process."""
    import ray

    collects = gc.isenabled()
    gc.disable()
    try:
        ray.shutdown()
    finally:
        if collects:
            gc.enable()


def _init(**options: Any) -> Path:
    """Calls ray.init, after which the signals are still ours; returns the session's folder."""
    import ray

    mask = os.umask(0o077)  # Ray writes its token and its logs readable for everyone
    try:
        with keep_sigterm_handler():
            context: Any = ray.init(
                job_config=job_config(), log_to_driver=False, logging_level=logging.ERROR, **options
            )
    finally:
        os.umask(mask)
    return Path(context.address_info["session_dir"])


def check_cluster(address: str) -> str:
    """Returns HOST:PORT of the cluster at `address` (auto or HOST:PORT), if it can be joined.

    It must answer, take our token and run our versions of Ray and Python. Raises ConnectionError, in one line and
    within seconds, if it does not.
    """
    try:
        use_token()
    except ConnectionError as error:
        raise address_error(address, str(error)) from error
    resolved = _answering(address)
    _check_versions(address, _metadata(address, resolved))
    return resolved


def _answering(address: str) -> str:
    """HOST:PORT of the cluster at `address`; ConnectionError unless something listens there.

    Ray itself would try for ten minutes, and print about it.
    """
    try:
        resolved = local_address() if address == "auto" else address
        if resolved is None:
            raise ClusterError("there is no Ray on this machine to join")
        reach(resolved)
    except (OSError, ValueError, RuntimeError) as error:
        raise address_error(address, f"no Ray cluster answers there ({error}); {START_ONE}") from error
    return resolved


def _metadata(address: str, resolved: str) -> dict[str, str]:
    """What the head says of itself; ConnectionError where it does not know our token."""
    from ray.exceptions import AuthenticationError

    try:
        answer = cluster_metadata(resolved, PATIENCE_S)
    except AuthenticationError as error:
        raise token_error(address, os.environ.get("RAY_AUTH_MODE") == "token") from error
    return dict(json.loads(answer or b"{}"))


def _check_versions(address: str, metadata: dict[str, str]) -> None:
    """ConnectionError unless the versions are equal: Ray's processes need one version of Ray and one of Python."""
    import ray

    ours = {"ray_version": ray.__version__, "python_version": platform.python_version()}
    for key, version in ours.items():
        what, theirs = key.partition("_")[0].capitalize(), metadata.get(key, version)
        if theirs != version:
            raise address_error(address, f"the cluster there has {what} {theirs}, this is {what} {version}")


def _log(data: dict[str, Any]) -> None:
    """Writes what Ray tells of other nodes into the log; it does not belong on the terminal."""
    logger.info("%s: %s", data.get("pid"), "\n".join(map(str, data.get("lines", ()))))
