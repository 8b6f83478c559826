"""A data set that a function of the user's own makes: trained on, evaluated, and its code trusted only if named."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from hpo.spec.settings import DataSpec
from hpo.spec.study import StudySpec
from hpo.system.errors import UserError
from tests.helpers.commands import printed, refused

MAKE = "tests/examples/even_or_odd.py:make"


def test_a_function_makes_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["--model", "mlp_small", "--results-dir", tmp_path, "--epochs", "2", "--metric", "auroc"]
    said = printed(capsys, "train", *line, "--dataset", MAKE, "--name", "t")
    assert f"data:   {MAKE}: 1,120 training, 280 validation images; 397 test images" in said
    best = json.loads((tmp_path / "t" / "best.json").read_text())
    assert best["dataset"] == MAKE and best["classes"] == ["even", "odd"] and best["input_shape"] == [1, 8, 8]
    assert "even" in printed(capsys, "evaluate", tmp_path / "t", "--dataset", MAKE)
    words = refused(capsys, "evaluate", tmp_path / "t")
    assert words.endswith(f"whose code would run; add --dataset {MAKE}\n")
    words = refused(capsys, "train", "--from", tmp_path / "t", "--results-dir", tmp_path)
    assert words.endswith(f"uses the dataset {MAKE}, whose code would run; to trust it, add --dataset {MAKE}\n")
    again = printed(capsys, "train", "--from", tmp_path / "t", "--dataset", MAKE, "--results-dir", tmp_path)
    assert "1,120 training" in again and "auroc" in again


def test_its_name_is_a_setting() -> None:
    assert DataSpec(dataset="mine:make").dataset == "mine:make"
    assert StudySpec.of(dataset="mine:make", metric="mine:f").own_functions == (
        ("--metric", ("mine:f",)),
        ("--dataset", ("mine:make",)),
    )
    with pytest.raises(UserError, match=r"--dataset trainers\.x:make: trainers is the name of a package of Podium's"):
        DataSpec(dataset="trainers.x:make")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("broken.py:make", "--dataset broken.py:make: fails (RuntimeError: on purpose)"),
        ("broken.py:other", "--dataset broken.py:other: cannot be imported (AttributeError: "),
        ("nobody.py:make", "--dataset nobody.py:make: there is no file nobody.py"),
    ],
)
def test_what_fails_is_one_line(
    name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.py").write_text("def make():\n    raise RuntimeError('on purpose')\n")
    assert words in refused(capsys, "train", "--model", "mlp_small", "--dataset", name)
    assert not (tmp_path / "results").exists()


def test_its_images_are_read_in_each_epoch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make = "tests/examples/shaken_digits.py:make"
    line = ["train", "--model", "mlp_small", "--results-dir", tmp_path, "--epochs", "2", "--dataset", make]
    curves = {}
    for name, more in (("streamed", ["--stream"]), ("once", [])):
        printed(capsys, *line, *more, "--name", name)
        curves[name] = losses(tmp_path / name)
    assert json.loads((tmp_path / "streamed" / "best.json").read_text())["stream"] is True
    assert curves["streamed"] != curves["once"]
    origin = ["--from", tmp_path / "streamed", "--dataset", make, "--results-dir", tmp_path, "--name", "again"]
    printed(capsys, "train", *origin)
    assert losses(tmp_path / "again") == curves["streamed"]


def losses(folder: Path) -> list[float]:
    return list(pd.read_csv(folder / "curves.csv")["train_loss"])


@pytest.mark.parametrize("command", ["train", "run"])
def test_what_cannot_be_streamed_is_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = refused(capsys, command, "--dataset", "digits", "--stream")
    assert "--stream: is for a data set that a function of yours makes" in words and "digits is read once" in words
    words = refused(capsys, command, "--dataset", MAKE, "--stream", "--trainer", "tests/examples/co_teaching.py:Own")
    assert "--stream: is for Podium's own training; --trainer tests/examples/co_teaching.py:Own" in words


def test_fused_trials_do_not_stream(capsys: pytest.CaptureFixture[str]) -> None:
    words = refused(capsys, "run", "--dataset", MAKE, "--stream", "--fuse", "4")
    assert "--fuse 4: fused trials share their images; leave it out with --stream" in words
