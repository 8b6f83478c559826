"""What is used of Ray without its promise, as far as it shows without a running Ray."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

import pytest

from cluster import ray_private
from cluster.ray_private import job_config, keep_sigterm_handler, node_messages_to

ROOT = Path(__file__).parents[2]


def test_workers_look_for_podium_where_the_driver_found_it_and_not_in_its_current_folder() -> None:
    config = job_config()
    config._py_driver_sys_path.extend([os.getcwd(), "/elsewhere"])  # as ray.init does
    assert config._py_driver_sys_path == [str(ROOT)]


def test_installed_packages_do_not_come_before_pythons_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_private, "ROOT", Path(sysconfig.get_paths()["purelib"]))
    assert job_config()._py_driver_sys_path == []


def test_what_is_replaced_in_ray_is_put_back() -> None:
    from ray._private import utils, worker

    before = utils.set_sigterm_handler, worker.print_to_stdstream
    heard: list[dict[str, str]] = []
    with keep_sigterm_handler(), node_messages_to(heard.append):
        utils.set_sigterm_handler(lambda *_: None)
        worker.print_to_stdstream({"pid": "raylet"}, ignore_prefix=True)
    assert heard == [{"pid": "raylet"}] and (utils.set_sigterm_handler, worker.print_to_stdstream) == before
