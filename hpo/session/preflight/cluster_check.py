"""What every node of a cluster must have before the first trial: Podium, and a place for checkpoints."""

from __future__ import annotations

import secrets
from contextlib import suppress

from cluster.nodes import on_every_node
from hpo.store.checkpoint_stores import CheckpointStorage, checkpoint_storage
from hpo.system.errors import UserError
from hpo.system.text import describe_error, on_one_line
from hpo.system.urls import masked

DRIVER = "driver@probe"


def check_nodes(storage_path: str | None, joined: bool) -> None:
    """Raises UserError, in one line with the node, where trials could not run or keep their checkpoints.

    joined: whether the run joins a cluster; else only the place is looked at. It is tried by writing from here and from
    every node, and by reading what another one wrote.
    """
    place = checkpoint_storage(storage_path, f"podium-probe-{secrets.token_hex(6)}") if storage_path else None
    path = masked(storage_path or "")
    try:
        if place:
            place.save(DRIVER, {"from": "driver"})
        found = on_every_node(_visit, place) if joined else {}
        seen = set(place.names("")) if place else set()
    except OSError as error:
        raise UserError(f"--storage-path {path}: cannot be written ({on_one_line(error)})") from error
    finally:
        if place:
            with suppress(OSError):
                place.clear()
    for node, answer in found.items():
        late = isinstance(answer, TimeoutError)  # an OSError too, for Python
        apart = not late and (isinstance(answer, OSError) or (isinstance(answer, str) and answer not in seen))
        if place and apart:
            raise UserError(
                f"--storage-path {path}: node {node} does not see what the others write there; give a folder that all "
                "nodes share or s3://BUCKET/PATH, or leave it out: checkpoints then travel to the driver"
            )
        if isinstance(answer, Exception):
            words = describe_error(answer, most=300)
            raise UserError(f"--address: node {node} cannot run trials ({words}); install Podium there")


def _visit(place: CheckpointStorage | None) -> str:
    """On a node: imports what a trial needs, reads the driver's file and leaves one of its own; returns its name."""
    import hpo.worker.trial  # noqa: F401

    name = f"node@{secrets.token_hex(6)}"
    if place:
        place.load(DRIVER)
        place.save(name, {"from": name})
    return name
