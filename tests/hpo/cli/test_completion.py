"""`hpo --install-completion`, in a real bash."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.__main__ import COMMANDS, main

ROOT = Path(__file__).parents[3]


def completions(script: Path, line: str) -> list[str]:
    """What bash offers for the last word of the line."""
    words = f"COMP_WORDS=({line}); COMP_CWORD={len(line.split()) - 1}"
    code = f"source {script}; {words}; _hpo; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "hpo.bash"
    assert main(["--install-completion", "--shell", "bash", "--output", str(path)]) == 0
    return path


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash on this machine")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("hpo tr", ["train"]),
        ("hpo run --mod", ["--model"]),
        ("hpo train --sched", ["--schedule"]),
        ("hpo submit --det", ["--detach"]),
        ("hpo export --form", ["--format"]),
    ],
)
def test_bash_completes_commands_and_flags(line: str, offered: list[str], script: Path) -> None:
    assert completions(script, line) == offered


def test_every_command_is_in_the_script(script: Path) -> None:
    text = script.read_text()
    assert f"local all_commands='{' '.join(sorted(COMMANDS))}'" in text


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script_too(shell: str, tmp_path: Path) -> None:
    assert main(["--install-completion", "--shell", shell, "--output", str(tmp_path / "script")]) == 0
    assert "workers-per-trial" in (tmp_path / "script").read_text()


def test_a_wrong_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--install-completion", "--shell", "tcsh"]) == 2
    err = capsys.readouterr().err
    assert "tcsh" in err and "bash" in err and err.count("\n") == 1


def test_it_needs_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys; from hpo.__main__ import main\n"
    code += f"main(['--install-completion', '--shell', 'bash', '--output', {str(tmp_path / 'x')!r}])\n"
    code += "print({'torch', 'ray', 'optuna', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
