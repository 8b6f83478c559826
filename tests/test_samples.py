"""The samples of the documentation, run for real: smaller where they are a whole study."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hpo.__main__ import main
from hpo.cli.flags import parse_spec
from hpo.run import main as main_of_run
from tests.helpers.documents import DOCUMENTS, ROOT, commands, samples

README, HPO = ROOT / "README.md", ROOT / "hpo" / "README.md"
STUDIES = ("README.md:python:0", "hpo/README.md:python:0")
USES_A_RUN = ("evaluate", "predict", "export", "report", "compare", "models")
# What a dry run with the digits cannot do: it needs a GPU, a server, more images or files of the user's.
NEEDS_MORE = (
    "cuda", "postgresql", "--address", "--gpus-per-trial", "--dataset", "--train-size", "mynets", "--resume", "~",
    "/data/results", "--config", "--mlflow",
)  # fmt: skip


def python_samples() -> dict[str, str]:
    return {str(sample): sample.text for document in DOCUMENTS for sample in samples(document, "python")}


def test_every_python_sample_is_run_by_a_test() -> None:
    elsewhere = {"models/README.md:python:2"}  # tests/hpo/runs/test_plug_ins.py
    here = {f"trainers/README.md:python:{number}" for number in (0, 1)}
    here |= {"models/README.md:python:0", "models/README.md:python:1"}
    assert set(python_samples()) == {*elsewhere, *here, *STUDIES, "results/README.md:python:0"}


def test_the_sample_of_the_trainers_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(python_samples()["trainers/README.md:python:0"], names)
    assert len(names["fitted"].curve) == 3 and names["fitted"].best.val_accuracy > 0.8


def test_the_sample_of_a_data_set_in_python_is_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PODIUM_DATA_DIR", str(tmp_path / "elsewhere"))
    names: dict[str, Any] = {}
    exec(python_samples()["trainers/README.md:python:1"], names)
    (file,) = (tmp_path / "data").iterdir()
    assert not (tmp_path / "elsewhere").exists()
    assert names["spec"].data.dataset == str(file.resolve())


def test_the_sample_of_an_architecture_builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from hpo.spec.spaces.search_space import search_space
    from models import MODELS, Architecture, check_plug_in, count_parameters

    code = python_samples()
    (tmp_path / "shallow.py").write_text(code["models/README.md:python:0"])
    monkeypatch.setattr("models.__path__", [*__import__("models").__path__, str(tmp_path)])
    known = dict(MODELS)
    exec(code["models/README.md:python:1"], {"MODELS": known, "Architecture": Architecture})
    monkeypatch.setitem(MODELS, "shallow", known["shallow"])
    check_plug_in("shallow", (1, 28, 28), 10)
    assert count_parameters("shallow", (1, 28, 28), 10) == (9 * 8 + 8) + (8 * 14 * 14 * 10 + 10)
    spec = parse_spec(["--model", "cnn", "--range", "dropout=0:0.3"])
    assert spec is not None and "dropout" in search_space("shallow", spec.search).distributions


def in_a_process(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.slow
@pytest.mark.parametrize("key", STUDIES)
def test_a_study_from_python(key: str, tmp_path: Path) -> None:
    code = re.sub(r"trials=\d+", "trials=1, epochs=1", python_samples()[key])
    done = in_a_process(["-c", f"{code}\nprint(len(result.frame), result.folder)"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(("1 results/", "2 results/"))


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder after the command of the front page, with two trials, whose run is called NAME."""
    folder = tmp_path_factory.mktemp("lived_in")
    line = next(line for line in samples(README, "bash")[0].text.splitlines() if line.startswith("python"))
    words = line.replace("hpo/run.py", f"{ROOT}/hpo/run.py").replace("--trials 50", "--trials 2").split()[1:]
    done = in_a_process([*words, "--dataset", "digits", "--epochs", "1", "--name", "NAME"], folder)
    assert done.returncode == 0, done.stderr
    for copy in ("A", "B"):
        shutil.copytree(folder / "results" / "NAME", folder / "results" / copy)
    finals = folder / "results" / "NAME" / "finals"
    shutil.copy(next(finals.glob("*.pt")), finals / "TRIAL.pt")
    for inside in ("folder", "scans"):
        (folder / inside).mkdir()
    for file in ("photo.png", "a.png", "b.jpg", "folder/one.png", "scans/two.png"):
        Image.new("L", (40, 40)).save(folder / file)
    return folder


@pytest.mark.slow
def test_the_sample_of_the_results_loads_a_network(lived_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.chdir(lived_in)
    names: dict[str, Any] = {"pixels": torch.rand(3, 1, 28, 28)}
    exec(python_samples()["results/README.md:python:0"], names)
    assert names["logits"].shape == (3, 10)


@pytest.mark.slow
def test_the_commands_of_one_network(
    lived_in: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(lived_in)
    for line in samples(README, "bash")[1].text.splitlines():
        more = ["--dataset", "digits"] if line.startswith("hpo train") else []
        assert main([*shlex.split(line)[1:], *more]) == 0, (line, capsys.readouterr().err)
    assert (lived_in / "results" / "mine" / "best.onnx").exists()


@pytest.mark.slow
def test_the_commands_that_use_a_run(
    lived_in: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(lived_in)
    lines = {line for line in commands(HPO) if "mine" not in line}
    words = [shlex.split(line)[1:] for line in sorted(lines) if line.startswith("hpo ") and len(line.split()) > 2]
    chosen = [one for one in words if one[0] in USES_A_RUN and "path/to/folder-or.tar" not in one]
    assert {one[0] for one in chosen} == set(USES_A_RUN)
    for one in chosen:
        kept = one[: one.index(">")] if ">" in one else one
        assert main(kept) == 0, (one, capsys.readouterr().err)
    for file in ("wrong.png", "answers.csv", "elsewhere.html", "all.csv"):
        assert (lived_in / file).stat().st_size > 0


@pytest.mark.slow
def test_the_plan_of_every_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = {line for line in (*commands(README), *commands(HPO)) if line.startswith("python hpo/run.py --")}
    chosen = sorted(line for line in lines if not any(words in line for words in NEEDS_MORE))
    assert len(chosen) > 25
    for line in chosen:
        words = [*shlex.split(line)[2:], "--dataset", "digits"]
        words += [] if "--dry-run" in words else ["--dry-run"]
        assert main_of_run(words) == 0, (line, capsys.readouterr().err)
    assert not (tmp_path / "results").exists()
