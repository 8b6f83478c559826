"""Notices when the cluster is gone. Ray waits a minute for a head that died, and then ends the process silently."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cluster.host.ports import answers

INTERVAL_S, PATIENCE_S = 2.0, 30.0


@contextmanager
def watched(lost: Callable[[str], None], patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Calls `lost` with an address after the Ray there has not answered for `patience_s`.

    The addresses are the head of the connected cluster and the Ray of this node. `lost` is called from another thread.
    """
    import ray

    context = ray.get_runtime_context()
    here = next(n for n in ray.nodes() if n["NodeID"] == context.get_node_id())  # type: ignore[no-untyped-call]
    addresses = (context.gcs_address, f"{here['NodeManagerAddress']}:{here['NodeManagerPort']}")
    over = threading.Event()

    def watch() -> None:
        silent, before = dict.fromkeys(addresses, 0.0), time.monotonic()
        while not over.wait(INTERVAL_S):
            alive = {address: answers(address) for address in addresses}
            # A question may take seconds by itself; a machine that was suspended makes one look like hours.
            passed, before = min(time.monotonic() - before, patience_s / 3), time.monotonic()
            for address in addresses:
                silent[address] = 0.0 if alive[address] else silent[address] + passed
                if silent[address] >= patience_s and not over.is_set():
                    lost(address)
                    return

    thread = threading.Thread(target=watch, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
