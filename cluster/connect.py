"""The only place that starts or joins Ray."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

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


@contextmanager
def connect(address: str | None, cpus: int | None = None, logs: Path | None = None) -> Iterator[None]:
    """Starts a local Ray of `cpus` CPUs (default: all), or joins the cluster at `address`.

    Where Ray is already initialized (a notebook, a test), that one is used and left running. A local one is
    ended on leaving, and its session folder removed; what its workers printed is kept in `logs`.
    Raises ConnectionError, in one line, if the cluster does not answer.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield
        return
    session = _start(address, cpus)
    try:
        yield
    finally:
        ray.shutdown()
        if address is None:
            with suppress(OSError):  # a full disk must not hide how the run ended
                _keep_worker_logs(session / "logs", logs)
            shutil.rmtree(session, ignore_errors=True)


def _start(address: str | None, cpus: int | None) -> Path:
    import ray

    if address is not None:
        address = _answering(address)
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

    if "://" in address:
        raise ConnectionError(
            f"--address {address}: give auto or HOST:PORT; with Ray Client results would stay on the head"
        )
    try:
        resolved = canonicalize_bootstrap_address(address) if address == "auto" else address
        if resolved is None:
            raise ValueError("there is no Ray on this machine to join")
        reach(resolved)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConnectionError(f"--address {address}: no Ray cluster answers there ({error})") from error
    return resolved


def _keep_worker_logs(session_logs: Path, logs: Path | None) -> None:
    if logs is None:
        return
    for file in session_logs.glob("worker-*"):
        lines = file.read_bytes().splitlines()
        # Lines that begin with a colon are Ray's own marks of which actor wrote the next ones.
        if any(not line.startswith(b":") for line in lines):
            shutil.copy(file, logs / file.name)
