"""The workers of a Ray of our own."""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import ray
import torch

from cluster.host.processes import wait_until
from cluster.ray_private import logs_folder
from tests.helpers.runs import command

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_local")]


def test_a_worker_is_a_fork_that_has_imported_what_it_needs() -> None:
    parent, is_imported = ray.get(ray.remote(_parent).remote("hpo.worker.trial"))
    assert "fork_server.py" in command(parent) and is_imported


def test_forks_have_random_numbers_of_their_own() -> None:
    actors = [ray.remote(_Dice).options(num_cpus=0).remote() for _ in range(2)]
    (pid_a, *thrown), (pid_b, *others) = ray.get([actor.throw.remote() for actor in actors])
    assert pid_a != pid_b and not set(thrown) & set(others)


def test_a_fork_has_as_many_threads_as_a_worker_of_rays_own() -> None:
    assert ray.get(ray.remote(_threads).options(num_cpus=1).remote()) == "1"


def test_a_fork_computes_with_several_threads() -> None:
    assert ray.get(ray.remote(_multiplies).options(num_cpus=2).remote(2)) == 2


def test_a_task_whose_worker_was_killed_runs_again_in_another_fork(tmp_path: Path) -> None:
    pid, parent = ray.get(ray.remote(_dies_once).options(max_retries=2).remote(tmp_path / "once"))
    assert pid != int((tmp_path / "once").read_text())
    assert "fork_server.py" in command(parent)


def test_what_a_fork_prints_is_in_a_log_of_its_own() -> None:
    pid = ray.get(ray.remote(_says).remote("a word"))
    (log,) = logs_folder().glob(f"worker-*-{pid}.out")
    assert wait_until(lambda: "a word" in log.read_text(), 5.0)


class _Dice:
    def throw(self) -> tuple[int, float, float, str]:
        return os.getpid(), float(np.random.random()), random.random(), ray.ObjectRef.from_random().hex()


def _parent(module: str) -> tuple[int, bool]:
    return os.getppid(), module in sys.modules


def _threads() -> str:
    return os.environ["OMP_NUM_THREADS"]


def _multiplies(threads: int) -> int:
    torch.set_num_threads(threads)
    matrix = torch.ones(400, 400)
    assert (matrix @ matrix).sum() == 400**3
    return torch.get_num_threads()


def _dies_once(marker: Path) -> tuple[int, int]:
    if not marker.exists():
        marker.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid(), os.getppid()


def _says(words: str) -> int:
    print(words, flush=True)
    return os.getpid()
