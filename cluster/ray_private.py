"""Everything that the `cluster` package uses of Ray and that Ray does not promise: read in Ray 2.60.

A new version of Ray is checked against this file first. Each part says why it is needed.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from cluster import ROOT
from cluster.errors import START_ONE


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


def start_lean_head(cpus: int | None, folder: Path, launcher: Path, environments: Callable[[str], int]) -> Any:
    """Starts the head of a Ray in this process, without what a run on one machine does not need: the dashboard, the
    autoscaler, the log monitor and the raylet's two agents, which together cost more than the rest. Each worker is
    started by the script `launcher`. environments: starts what answers for the runtime environments of tasks at an IP
    address, and returns its port. Returns Ray's node, whose processes end with this process, too."""
    node: Any
    services: Any
    node, services = (import_module(f"ray._private.{name}") for name in ("node", "services"))
    services._build_python_executable_command_memory_profileable = lambda *_, **__: _NO_AGENT
    services.start_raylet = _with_agents_ports(services.start_raylet, environments)
    node.Node.start_api_server = lambda *_, **__: None  # the dashboard
    options = import_module("ray._private.parameter").RayParams(
        num_cpus=cpus,
        temp_dir=str(folder),
        include_dashboard=False,
        include_log_monitor=False,
        no_monitor=True,
        setup_worker_path=str(launcher),
    )
    return node.Node(options, head=True, shutdown_at_exit=False)


# The raylet ends when an agent does. This one ends when the raylet closes its standard input.
_NO_AGENT = ["sh", "-c", "exec cat", "agent"]


def _with_agents_ports(start_raylet: Callable[..., Any], environments: Callable[[str], int]) -> Callable[..., Any]:
    """Writes the files in which a raylet waits for its agents' ports."""
    from inspect import signature

    _raylet = _compiled()
    ports = {
        _raylet.METRICS_AGENT_PORT_NAME: -1,  # none, as the agent of a minimal installation says
        _raylet.METRICS_EXPORT_PORT_NAME: -1,
        _raylet.DASHBOARD_AGENT_LISTEN_PORT_NAME: 1,
    }

    def start(*positional: Any, **named: Any) -> Any:
        given = signature(start_raylet).bind(*positional, **named).arguments
        ports[_raylet.RUNTIME_ENV_AGENT_PORT_NAME] = environments(given["node_ip_address"])
        for name, port in ports.items():
            _raylet.persist_port(given["session_dir"], given["node_id"], name, port)
        return start_raylet(*positional, **named)

    return start


def answer_about_environment(path: str, question: bytes) -> bytes:
    """What Ray's runtime environment agent would answer a raylet, of environments that are variables alone: others are
    refused, with the reason."""
    import json

    messages: Any = import_module("ray.core.generated.runtime_env_agent_pb2")
    if path != "/get_or_create_runtime_env":
        return bytes(messages.DeleteRuntimeEnvIfPossibleReply().SerializeToString())  # there is nothing to delete
    asked = messages.GetOrCreateRuntimeEnvRequest()
    asked.ParseFromString(question)
    environment = json.loads(asked.serialized_runtime_env or "{}")
    reply = messages.GetOrCreateRuntimeEnvReply()
    if unknown := sorted(set(environment) - {"env_vars", "config", "_ray_commit"}):
        reply.status = messages.AGENT_RPC_STATUS_FAILED
        words = f"this local Ray knows env_vars alone, not {', '.join(unknown)}"
        reply.error_message = f"{words}; {START_ONE}, and join it with --address auto"
    else:
        context: Any = import_module("ray._private.runtime_env.context").RuntimeEnvContext
        reply.serialized_runtime_env_context = context(env_vars=environment.get("env_vars", {})).serialize()
    return bytes(reply.SerializeToString())


def import_worker() -> None:
    """Imports what Ray's program for workers does."""
    import_module("ray._private.workers.default_worker")


@contextmanager
def actors_of_urandom() -> Iterator[None]:
    """Classes of actors that are defined here do not draw their number from Ray's random numbers. These are seeded when
    they are first used, and that must be in a fork: with equal ones, two workers make objects of equal names."""
    actor: Any = import_module("ray.actor")
    theirs, actor.ActorClassID = actor.ActorClassID, _ActorClassID
    try:
        yield
    finally:
        actor.ActorClassID = theirs


class _ActorClassID:
    @staticmethod
    def from_random() -> Any:
        from ray import ActorClassID

        return ActorClassID(os.urandom(ActorClassID.size()))


def reread_environment() -> None:
    """Ray's C++ code reads the environment once, when it is loaded; from now on it has what is there now."""
    _compiled().Config.initialize("")


def use_own_token() -> None:
    """Lets this process present the token of a Ray of our own. Ray may be imported already."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    reread_environment()
    _compiled().AuthenticationTokenLoader.instance().reset_cache()


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


def _compiled() -> Any:
    """Ray's C++ code, of which its type hints show a part."""
    return import_module("ray._raylet")


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
