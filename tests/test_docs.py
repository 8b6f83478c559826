"""The documentation: its length, its links, its numbers, and that every command in it parses."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

from cluster.local import _parser as local_parser
from hpo.__main__ import COMMANDS, main
from hpo.cli.flags import parse_spec
from tests.benchmarks import gpu, run
from tests.helpers.documents import DOCUMENTS, ROOT, Sample, anchors, commands, links, name, samples
from tests.helpers.layers import FLOORS
from tests.helpers.pages import a_run

README, REFERENCE = ROOT / "README.md", ROOT / "results" / "reference"
FOLDERS = ("hpo", "models", "trainers", "results", "cluster", "tests")
RUNS = ("NAME", "first")  # the runs that commands in the documentation resume
# Commands that are not ours. Nothing checks them but the eye.
FOREIGN = {
    'pip install -e ".[dev]"', "pip install -e .", "pip install pre-commit", "pre-commit install", "pytest",
    "python -m venv .venv", "source .venv/bin/activate", "ssh -L 8265:localhost:8265 HEAD",
}  # fmt: skip
COMMAND_LINES = sorted({(name(document), line) for document in DOCUMENTS for line in commands(document)})


def test_the_front_page_is_short_and_names_every_folder() -> None:
    assert len(README.read_text().splitlines()) <= 180
    assert {f"{folder}/README.md" for folder in FOLDERS} <= set(links(README))
    assert {ROOT / folder / "README.md" for folder in FOLDERS} <= set(DOCUMENTS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in links(document):
        path, _, anchor = target.partition("#")
        there = (document.parent / path).resolve() if path else document
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_pictures_are_small() -> None:
    for picture in (ROOT / ".github" / "images").iterdir():
        assert picture.stat().st_size <= 200_000, picture


def test_the_output_on_the_front_page_was_seen() -> None:
    (output,) = samples(README, "text")
    seen = {line.rstrip() for line in (REFERENCE / "first-run.txt").read_text().splitlines()}
    assert len(output.text.splitlines()) == 10 and set(output.text.splitlines()) <= seen


def test_the_numbers_on_the_front_page_were_measured() -> None:
    claims = README.read_text().partition("## What it does better")[2].partition("\n## ")[0]
    measured = "".join((REFERENCE / table).read_text() for table in ("benchmarks.md", "baselines.md", "by-hand.md"))
    numbers = re.findall(r"\d+\.\d+", claims)
    assert len(numbers) > 10
    for number in numbers:
        assert re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.])", measured), number


def test_the_floors_are_those_that_hold() -> None:
    rows = re.findall(r"^\| (\d) \| `([\w.]+)` \|", (ROOT / ".github" / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert rows == [(str(n), package) for n in reversed(range(len(FLOORS))) for package in FLOORS[n]]


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"hpo {version('podium-hpo')}\n"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"## {project['version']}" in (ROOT / ".github" / "CHANGELOG.md").read_text()


def test_the_version_needs_nothing_heavy() -> None:
    code = "import sys; from hpo.__main__ import main; main(['--version']); "
    code += "print({'torch', 'ray', 'optuna', 'pandas', 'cyclopts'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


class ParsingApp(App):
    """Parses a subcommand's flags with its own parser, and does not run it."""

    def __call__(self, tokens: Any = None, **options: Any) -> Any:
        self.parse_args(tokens, exit_on_error=False, print_error=False)
        return 0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder, with what the commands name."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "results").mkdir()
    for run_name in RUNS:
        a_run(folder / "results" / run_name, [], spec={"model": ["cnn"], "trials": 9})
    (folder / "study.toml").write_text(samples(ROOT / "hpo" / "README.md", "toml")[0].text)
    return folder


@pytest.mark.parametrize(("document", "line"), COMMAND_LINES)
def test_every_command_parses(
    document: str, line: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if line in FOREIGN:
        return
    monkeypatch.chdir(place)
    monkeypatch.setattr("hpo.cli.command.App", ParsingApp)
    assert check_command(shlex.split(line), monkeypatch) == 0, capsys.readouterr().err


def check_command(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Has a command line parsed by the program that it starts; returns the exit code."""
    if ">" in words:
        words = words[: words.index(">")]
    scripts: dict[str, Callable[[list[str]], object]] = {
        "hpo/run.py": parse_spec,
        "cluster/local.py": local_parser().parse_args,
        "cluster/submit.py": lambda rest: check_hpo(["submit", *rest]),
        "tests/benchmarks/run.py": lambda _: run._options(),
        "tests/benchmarks/gpu.py": lambda _: gpu._options(),
        "-m": lambda rest: import_module(rest[0])._options(rest[1:]),
    }
    if words[0] == "python":
        monkeypatch.setattr(sys, "argv", words[1:])
        scripts[words[1]](words[2:])
        return 0
    assert words[0] == "hpo", f"{words}: neither ours nor in FOREIGN"
    return check_hpo(words[1:])


def check_hpo(words: list[str]) -> int:
    if len(words) == 1:  # the text names a command
        return 0 if words[0] in COMMANDS else main(words)
    if words[0] == "run":
        parse_spec(words[1:])
        return 0
    if words[0] == "submit" and "--" in words:
        parse_spec(words[words.index("--") + 1 :])
        words = words[: words.index("--")]
    return main(words)


def test_the_configuration_file_is_one(tmp_path: Path) -> None:
    from hpo.spec.spaces.search_space import search_space

    (tmp_path / "study.toml").write_text(samples(ROOT / "hpo" / "README.md", "toml")[0].text)
    spec = parse_spec(["--config", str(tmp_path / "study.toml")])
    assert spec is not None and (spec.search.model, spec.search.trials) == (("cnn", "lenet5"), 30)
    assert search_space("cnn", spec.search).distributions["dropout"].choices == (0.2,)  # type: ignore[attr-defined]


def test_the_entry_point_is_one() -> None:
    (text,) = (
        sample.text for sample in samples(ROOT / "models" / "README.md", "toml") if "entry-points" in sample.text
    )
    assert tomllib.loads(text)["project"]["entry-points"] == {"podium.models": {"tinynet": "mynets:TinyNet"}}


def test_every_block_has_a_language() -> None:
    blocks: list[Sample] = [sample for document in DOCUMENTS for sample in samples(document)]
    assert {sample.language for sample in blocks} <= {"bash", "python", "toml", "text"}
