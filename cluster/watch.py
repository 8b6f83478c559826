"""Is the cluster still there? Ray waits a minute for a head that died, and then ends the process without a word."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cluster.ports import answers

INTERVAL_S, PATIENCE_S = 2.0, 30.0


@contextmanager
def watched(lost: Callable[[str], None], patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Calls `lost` with the address, from a thread of its own, once the head of the connected cluster, or the Ray of
    this node, has not answered for `patience_s`."""
    import ray

    context = ray.get_runtime_context()
    here = next(n for n in ray.nodes() if n["NodeID"] == context.get_node_id())  # type: ignore[no-untyped-call]
    addresses = (context.gcs_address, f"{here['NodeManagerAddress']}:{here['NodeManagerPort']}")
    over = threading.Event()

    def watch() -> None:
        misses = dict.fromkeys(addresses, 0.0)
        while not over.wait(INTERVAL_S):
            for address in addresses:
                misses[address] = 0.0 if answers(address) else misses[address] + INTERVAL_S
                if misses[address] >= patience_s and not over.is_set():
                    lost(address)
                    return

    thread = threading.Thread(target=watch, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
