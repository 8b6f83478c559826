"""Who may import whom: models and trainers must run where there is torch alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "models": {"hpo", "trainers", "cluster", "ray", "optuna", "pandas", "rich", "cyclopts", "sklearn"},
    "trainers": {"hpo", "models", "cluster", "ray", "optuna", "pandas", "rich", "cyclopts"},
    "cluster": {"hpo", "models", "trainers", "torch"},
    "hpo/run.py": {"torch", "optuna", "ray"},
    "hpo/cli/command.py": {"torch", "optuna", "ray", "pandas", "matplotlib"},
    "hpo/commands": {"torch", "optuna", "ray", "sklearn", "matplotlib"},
    "hpo/networks/recipes.py": {"torch", "optuna", "ray", "models"},
    "hpo/spec/study.py": {"torch", "ray"},
    "hpo/spec/spaces.py": {"torch", "ray"},
    "hpo/search/searcher.py": {"torch", "models", "trainers"},
    "hpo/worker/trial.py": {"optuna", "pandas"},
    "hpo/trials/ranking.py": {"torch", "ray", "pandas", "pathlib"},
    "hpo/trials/records.py": {"torch", "ray"},
    "hpo/store/journal.py": {"torch", "ray"},
}


def imports(path: Path) -> set[str]:
    """Top-level packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("place", FORBIDDEN)
def test_layers_point_one_way(place: str) -> None:
    path = ROOT / place
    for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
        assert not imports(file) & FORBIDDEN[place], file


def test_only_connect_starts_ray() -> None:
    places = [f for package in ("hpo", "cluster", "trainers") for f in (ROOT / package).glob("*.py")]
    assert [f.name for f in places if "ray.init(" in f.read_text()] == ["connect.py"]


@pytest.mark.parametrize("command", [["hpo/run.py", "--help"], ["hpo/run.py", "--model", "nonesuch"]])
def test_help_and_wrong_names_are_answered_before_anything_heavy_is_imported(command: list[str]) -> None:
    code = f"import sys, runpy; sys.argv = {command!r}\ntry: runpy.run_path({command[0]!r}, run_name='__main__')\n"
    code += "except SystemExit: pass\nprint(sorted({'torch', 'ray', 'optuna', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
