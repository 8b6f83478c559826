"""Who may import whom, over every import there is (tests/helpers/layers.py has the floors)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.helpers.layers import FLOORS, ROOT, Import, circles, imports, modules, violations

MODULES = modules()
MAX_LINES, MAX_FILES = 300, 14


@pytest.fixture(scope="module")
def found() -> list[Import]:
    known = set(MODULES)
    return [one for name, file in MODULES.items() for one in imports(name, file.read_text(), known)]


def test_imports_point_down(found: list[Import]) -> None:
    assert violations(found) == []


def test_no_modules_import_one_another(found: list[Import]) -> None:
    assert circles(found) == []


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("hpo.store.journal", "from hpo.session.session import Session"),
        ("hpo.store.journal", "def f():\n    import hpo.search.tuning"),
        ("hpo.store.journal", "if TYPE_CHECKING:\n    from hpo.spec.study import StudySpec"),
        ("hpo.store.journal", "import_module('hpo.cli.flags')"),
        ("hpo.store.journal", "MAIN = {'run': ('hpo.run:main', 'a command')}"),
        ("hpo.views.page.report", "from hpo.worker import trial"),  # a sibling
        ("hpo.session.preflight.planning", "from hpo.cli import flags"),
        ("trainers.data.sources.idx", "from models import build_model"),
        ("trainers.data.sources.idx", "class A:\n    def f(self):\n        import pandas as pd"),
        ("cluster.submit", "import torch.nn"),
        ("hpo.run", "from hpo import StudySpec"),
    ],
)
def test_each_kind_of_import_is_seen(importer: str, source: str) -> None:
    assert len(violations(list(imports(importer, source, set(MODULES))))) == 1


def test_what_is_allowed_is_allowed() -> None:
    main = "if __name__ == '__main__':\n    from hpo.cli.commands import submit"
    assert violations(list(imports("cluster.submit", main, set(MODULES)))) == []
    assert violations(list(imports("hpo.session.session", "from hpo.session.preflight import planning", set()))) == []
    assert violations(list(imports("hpo.session.session", "say('hpo: interrupted')", set(MODULES)))) == []


def test_a_circle_is_seen() -> None:
    pairs = [("hpo.store.a", "hpo.store.b"), ("hpo.store.b", "hpo.store.c"), ("hpo.store.c", "hpo.store.a")]
    assert circles([Import(*pair, line=1) for pair in pairs]) == [["hpo.store.a", "hpo.store.b", "hpo.store.c"]]


def test_files_and_folders_are_small() -> None:
    long = {name: count for name, file in MODULES.items() if (count := len(file.read_text().splitlines())) > MAX_LINES}
    assert long == {}
    folders = {file.parent for file in MODULES.values()}
    full = {str(each): count for each in folders if (count := sum(p.is_file() for p in each.iterdir())) > MAX_FILES}
    assert full == {}


def test_every_package_is_on_a_floor() -> None:
    packages = {name for name, file in MODULES.items() if file.name == "__init__.py" and name.count(".") == 1}
    named = {name for floor in FLOORS for name in floor}
    assert {name for name in packages if name.startswith("hpo.")} <= named


def test_only_connect_starts_ray() -> None:
    starters = [name for name, file in MODULES.items() if "ray.init(" in file.read_text()]
    assert starters == ["cluster.connect"]


@pytest.mark.parametrize("command", [["hpo/run.py", "--help"], ["hpo/run.py", "--model", "nonesuch"]])
def test_help_and_wrong_names_are_answered_before_anything_heavy_is_imported(command: list[str]) -> None:
    seen = "print(sorted({'torch', 'ray', 'optuna', 'pandas'} & set(sys.modules)))"
    code = f"import atexit, sys, runpy; sys.argv = {command!r}; atexit.register(lambda: {seen})\n"
    code += f"runpy.run_path({command[0]!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"
