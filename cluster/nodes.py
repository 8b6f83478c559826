"""The nodes of the cluster that is joined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

PATIENCE_S = 180.0  # a node starts a worker first, which imports what the function needs: slow on a busy one


def on_every_node(function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """Calls `function`, of an importable module, on each node; returns its result or its exception by the node's name.

    Raises nothing. For a node that does not answer in time the result is a TimeoutError.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = {_name(node): node["NodeID"] for node in ray.nodes() if node["Alive"]}  # type: ignore[no-untyped-call]
    asked = {
        name: ray.remote(function)
        .options(num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False))
        .remote(*arguments)
        for name, node_id in nodes.items()
    }
    ray.wait(list(asked.values()), num_returns=len(asked), timeout=PATIENCE_S)
    return {name: _result(reference) for name, reference in asked.items()}


def _name(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerHostname']}/{node['NodeID'][:8]}"


def _result(reference: Any) -> Any:
    import ray

    try:
        return ray.get(reference, timeout=0)
    except ray.exceptions.GetTimeoutError:
        return TimeoutError(f"no answer within {PATIENCE_S:g} s")
    except Exception as error:
        return getattr(error, "cause", None) or error
