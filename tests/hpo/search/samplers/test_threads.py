from __future__ import annotations

from scipy import linalg
from threadpoolctl import threadpool_info

from hpo.search.samplers.threads import one_thread


def threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_a_sampler_computes_with_one_thread_and_others_as_before() -> None:
    assert linalg is not None
    before = threads()
    with one_thread():
        assert threads() and set(threads()) == {1}
    assert threads() == before
