"""What all subcommands share: the list, quick help, and mistakes in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hpo.__main__ import COMMANDS, main

ROOT = Path(__file__).parents[3]


def test_the_console_command_lists_its_subcommands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0 and main(["--help"]) == 0
    assert "run " in capsys.readouterr().out
    assert main(["rum"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("hpo: command rum: unknown (did you mean run?); choose from run, submit, ")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_is_quick_to_import(name: str) -> None:
    """Half a second is all it may take: nothing heavy is imported for it."""
    code = f"import sys; from hpo.__main__ import main; main(['{name}', '--help'])\n"
    heavy = {"torch", "ray", "optuna", "pandas", "matplotlib", "sklearn", "plotly", "scipy", "jinja2"}
    code += f"print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]" and f"hpo {name}" in done.stdout.replace("python hpo/run.py", "hpo run")
