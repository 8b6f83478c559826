"""Log records and warnings go to one file, and to nothing else."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import pytest

from hpo.system.logs import logged_to


def test_everything_is_in_the_file_and_nothing_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, ray = logging.getLogger(), logging.getLogger("ray")
    before = root.handlers[:], root.level, ray.handlers[:], ray.propagate
    with logged_to(tmp_path / "hpo.log"):
        logging.getLogger("hpo.x").info("of ours")
        ray.warning("of Ray's")
        warnings.warn("of Python's", stacklevel=1)
    after = root.handlers[:], root.level, ray.handlers[:], ray.propagate
    lines = (tmp_path / "hpo.log").read_text().splitlines()
    assert " INFO hpo.x: of ours" in lines[0] and " WARNING ray: of Ray's" in lines[1] and "of Python's" in lines[2]
    assert after == before and capsys.readouterr() == ("", "")


def test_a_line_that_the_disk_does_not_take_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full.log").symlink_to("/dev/full")
    with logged_to(tmp_path / "full.log"):
        logging.getLogger("hpo.x").info("lost")
    assert capsys.readouterr() == ("", "")
