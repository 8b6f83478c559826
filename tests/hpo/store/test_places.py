"""A run is named by NAME, by results/NAME or by its path, in every command."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from hpo import StudySpec
from hpo.__main__ import main
from hpo.store.places import find, not_a_run
from hpo.system.errors import UserError
from tests.helpers.pages import a_run, trial


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the runs `one` and `two` in results/, in which the test is."""
    (tmp_path / "results").mkdir()
    for name in ("one", "two"):
        a_run(tmp_path / "results" / name, [trial(0), trial(1)])
        (tmp_path / "results" / name / "logs").mkdir()
        (tmp_path / "results" / name / "logs" / "hpo.log").write_text(f"the log of {name}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_there_comes_before_what_is_in_results(here: Path) -> None:
    inside = Path("results/one")
    assert find(Path("one")) == find(inside) == inside and find(here / inside) == here / inside
    (here / "one").mkdir()  # a folder, but no run
    assert find(Path("one")) == inside
    (here / "one" / "best.pt").touch()
    assert find(Path("one")) == Path("one") and find(Path("none")) == Path("none")


def test_a_folder_of_the_same_name_is_not_taken_for_the_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "one").mkdir()
    for command in ("compare one two", "show one"):
        assert main(command.split()) == 0 and "left out" not in capsys.readouterr().out


@pytest.mark.parametrize("command", ["show ?", "logs ?", "report ?", "compare ? two"])
def test_every_command_takes_a_name_a_folder_and_a_path(
    here: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = []
    for said in ("one", "results/one", "results/one/", str(here / "results" / "one")):
        assert main(command.replace("?", said).split()) == 0, capsys.readouterr()
        answers.append(capsys.readouterr().out.replace(str(here) + "/", ""))
    assert len(set(answers)) == 1 and "one" in answers[0]


NETWORKS = {
    "evaluate": "evaluate ?",
    "predict": "predict ? x.png",
    "export": "export ? --format safetensors --out x.safetensors",
    "train": "train --from ? --epochs 1 --quiet --results-dir again",
}


@pytest.mark.parametrize("command", NETWORKS.values(), ids=NETWORKS)
def test_commands_that_take_a_network_do_too(
    here: Path, trained: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained, here / "results" / "net")
    Image.new("L", (28, 28)).save("x.png")
    for said in ("net", "results/net", str(here / "results" / "net")):
        assert main(command.replace("?", said).split()) == 0, capsys.readouterr()
    assert main(command.replace("?", "nett").split()) == 2 and capsys.readouterr().err.count("\n") == 1


def test_a_run_to_resume_is_named_in_the_same_ways(here: Path) -> None:
    for said in ("one", "results/one", "results/one/", str(here / "results" / "one")):
        output = StudySpec.of(resume=said).output
        assert (output.resume, output.results_dir.resolve()) == ("one", here / "results")
    assert StudySpec.of(resume="results/one", results_dir="results").output.resume == "one"
    with pytest.raises(UserError, match="is not in --results-dir other; give one of the two"):
        StudySpec.of(resume="results/one", results_dir="other")


def test_a_typo_is_answered_with_the_closest_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert str(not_a_run("onee")) == "onee: not a run folder; did you mean one? (runs in results: one, two)"
    assert str(not_a_run("x", Path("nowhere"))) == "x: not a run folder (runs in nowhere: none)"
    for command in ("show tow", "logs tow", "report tow", "compare one tow", "dashboard tow"):
        assert main(command.split()) == 2
        assert capsys.readouterr().err == "hpo: tow: not a run folder; did you mean two? (runs in results: one, two)\n"
