from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hpo.__main__ import COMMANDS, main
from models import MODELS

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


def test_models_is_the_zoo_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(MODELS)
    assert "134,301,514" in lines[-1] and "0.22" in lines[1]


def test_models_with_a_name_is_layer_by_layer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "lenet5", "--shape", "3", "32", "32", "--classes", "5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "Conv2d(3, 6, kernel_size=(5, 5), stride=(1, 1))" in lines[1] and "6x28x28" in lines[1]
    assert lines[-1].startswith("lenet5: ")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("models lenet", "model lenet: unknown (did you mean lenet5?)"),
        ("models cnn --shape 1 2 2", "cnn: needs images of at least 4x4, these are 2x2"),
        ("models cnn --classes 0", "must be at least 1"),
        ("models cnn --shape 1 2", "--shape"),
        ("models no.such:thing", "--model no.such:thing: cannot be imported (ModuleNotFoundError"),
    ],
)
def test_wrong_input_to_models(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith("hpo: ") and message in err and err.count("\n") == 1
