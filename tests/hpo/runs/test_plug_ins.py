"""Architectures of the user's own: MODULE:NAME, and entry points of installed packages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from hpo.session.preflight.planning import preflight
from hpo.spec.search import SearchSpec
from hpo.spec.spaces.search_space import search_space
from hpo.spec.study import StudySpec

ROOT = Path(__file__).parents[3]


def block_of_readme(language: str) -> str:
    section = (ROOT / "models" / "README.md").read_text().split("## Your own architecture, ")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, flags=re.DOTALL)[0]


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example of models/README.md, as a user's folder that is the current one."""
    (tmp_path / "mynets.py").write_text(block_of_readme("python"))
    (tmp_path / "study.toml").write_text(block_of_readme("toml"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mynets", raising=False)
    return tmp_path


def test_its_space_has_what_its_callable_takes(mine: Path) -> None:
    space = search_space("mynets:TinyNet", SearchSpec(fixed=("width=5",))).distributions
    assert "activation" not in space and "dropout" in space
    assert space["width"].choices == (5,)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"--set depth=3: unknown .*; choose from lr, dropout, .* width"):
        search_space("mynets:TinyNet", SearchSpec(fixed=("depth=3",)))


def test_it_is_counted_like_ours(mine: Path) -> None:
    spec = StudySpec.of(model="mynets:TinyNet", dataset="digits", set="width=8")
    (plan,) = preflight(spec).models
    assert plan.parameters == (9 * 8 + 8) + (8 * 14 * 14 * 10 + 10)


FAULTY = {
    "raises": ("def net(shape, classes): raise RuntimeError('not\\nnow')", "raises RuntimeError: not now"),
    "shape": (
        "from torch import nn\ndef net(shape, classes): return nn.Flatten()",
        "returns (2, 784) for 2 images; must return (2, 10)",
    ),
    "none": ("def net(shape, classes): return None", "raises AttributeError"),
    "syntax": ("def net(:", "cannot be imported (SyntaxError"),
    "missing": ("other = 3", "cannot be imported (AttributeError"),
    "number": ("net = 3", "is of type int, not a function or class"),
    "required": ("def net(shape, classes, *, width): ...", "missing 1 required keyword-only argument: 'width'"),
}


@pytest.mark.parametrize("kind", FAULTY)
def test_a_faulty_one_is_refused_in_one_line(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, message = FAULTY[kind]
    (tmp_path / f"faulty_{kind}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        preflight(StudySpec.of(model=f"faulty_{kind}:net", dataset="digits"))
    assert str(caught.value).startswith(f"--model faulty_{kind}:net: ") and "\n" not in str(caught.value)


def test_an_installed_package_brings_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "podium_extra.py").write_text("from models.lenet import lenet5 as net\n")
    info = tmp_path / "podium_extra-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: podium-extra\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[podium.models]\nextra = podium_extra:net\n")
    monkeypatch.syspath_prepend(tmp_path)
    (plan,) = preflight(StudySpec.of(model="extra", dataset="digits")).models
    assert (plan.name, plan.parameters) == ("extra", 44_426)


@pytest.mark.slow
def test_the_readmes_example_runs_as_it_stands(mine: Path) -> None:
    (line,) = block_of_readme("bash").splitlines()
    words = line.replace("hpo run", f"{sys.executable} {ROOT}/hpo/run.py").split()
    command = [
        *words,
        "--dataset",
        "digits",
        "--epochs",
        "2",
        "--trials",
        "4",
        "--finalists",
        "0",
        "--name",
        "a",
        "--quiet",
    ]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=mine, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    frame = pd.read_csv(mine / "results" / "a" / "trials.csv")
    assert set(frame["state"]) <= {"completed", "stopped"} and set(frame["width"]) <= {4, 8, 16}
    assert set(frame["model"]) == {"mynets:TinyNet"}
