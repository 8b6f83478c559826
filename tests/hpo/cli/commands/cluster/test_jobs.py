"""hpo jobs: where there is no cluster; a real one: tests/cluster/test_submit.py."""

from __future__ import annotations

import pytest

from hpo.cli.commands.cluster.jobs import main


def test_no_cluster_is_one_line_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--address", "http://127.0.0.1:9"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("hpo: --address http://127.0.0.1:9: no dashboard answers there (")
    assert err.endswith("; start one on this machine with: python cluster/local.py up\n") and err.count("\n") == 1
