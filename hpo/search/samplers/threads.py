"""The threads of a sampler's linear algebra."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


def one_thread() -> AbstractContextManager[object]:
    """Within this context numpy and scipy compute with one thread. A sampler's matrices are small, and while trials
    train on all CPUs, threads that wait for one another take ten times as long."""
    limited: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return limited


@cache
def _libraries() -> ThreadpoolController:
    """The libraries that are loaded by now; to look for them takes a tenth of a second."""
    return ThreadpoolController()
