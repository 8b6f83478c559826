"""hpo submit: which cluster it asks, without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.cli.commands.cluster.submit import DASHBOARD, main


@pytest.mark.parametrize(
    ("variable", "flags", "address"),
    [
        ("", [], DASHBOARD),
        ("http://node-7:8265", [], "http://node-7:8265"),
        ("http://node-7:8265", ["--address", "http://node-8:8265"], "http://node-8:8265"),
    ],
)
def test_the_address_is_the_flags_or_the_environments(
    variable: str,
    flags: list[str],
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", variable)
    assert main([*flags, "--dry-run", "--", "--model", "mlp_small", "--trials", "1"]) == 0
    assert capsys.readouterr().out.startswith(f"to:       {address}\n")
