"""The further workers of a trial, without Ray."""

from __future__ import annotations

from typing import Any

import pytest
import ray
import torch

from hpo.worker import worker_group
from hpo.worker.worker_group import GroupMember, WorkerGroup
from trainers.faults import is_out_of_memory

SETTINGS: Any = None  # nothing looks at them here


def test_a_peer_without_memory_for_the_data_can_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(worker_group, "prepare", prepare)
    peer = GroupMember({}, SETTINGS)  # an actor that raises here is lost, and its error with it
    with pytest.raises(torch.OutOfMemoryError):
        peer.prepare()


def test_what_a_peer_raised_is_the_cause_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    peers = WorkerGroup.__new__(WorkerGroup)
    peers.following, peers.actors, peers.ended = [], [], False
    monkeypatch.setattr(ray, "wait", lambda references, **_: ([], []))
    raised = ray.exceptions.RayTaskError("prepare", "traceback", torch.OutOfMemoryError("CUDA out of memory"))
    cause = peers.cause(raised.as_instanceof_cause())
    assert type(cause) is torch.OutOfMemoryError and is_out_of_memory(cause)
