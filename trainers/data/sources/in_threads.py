"""Work in threads whose results come in the order of what they were given."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from trainers.cpu.count import usable_cpus

Given = TypeVar("Given")
Made = TypeVar("Made")
_AHEAD = 4  # items for each thread that are under way: enough that none waits, few enough for the memory


def in_threads(work: Callable[[Given], Made], items: Iterable[Given]) -> Iterator[Made]:
    """Yields work(item) for each item, in their order; as many threads work as the process has processors.

    Pillow decodes and resizes without Python's lock. The items are taken in the caller's thread, a few ahead.
    """
    threads = usable_cpus()
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Made]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= _AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
