"""`hpo predict` where some of what it is given cannot be read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hpo.__main__ import main
from tests.helpers.images import folder_of_digits


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    line = "train --model mlp_small --epochs 1 --dataset digits --name a --train-size 64 --quiet"
    assert main([*line.split(), "--results-dir", str(results)]) == 0
    return results / "a"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A folder of three pictures."""
    (tmp_path / "good").mkdir()
    return folder_of_digits(tmp_path / "good", 3)


def test_a_file_that_cannot_be_read_does_not_cost_the_others_their_answers(
    trained: Path, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = sorted(good.iterdir())
    broken, missing, long = tmp_path / "broken.png", tmp_path / "missing.png", tmp_path / ("x" * 300)
    broken.write_bytes(first.read_bytes()[:80])
    files = [first, broken, second, missing, long, third]
    capsys.readouterr()
    assert main(["predict", str(trained), *map(str, files)]) == 1
    out, err = capsys.readouterr()
    assert [line.partition(": ")[0] for line in out.splitlines()] == [str(first), str(second), str(third)]
    lines = err.splitlines()
    assert lines[0].startswith(f"hpo: {broken}: cannot be read as a picture (")
    assert lines[1] == f"hpo: {missing}: there is no such file"
    assert lines[2:] == [f"hpo: {long}: cannot be read as a picture (File name too long)"]


def test_files_and_folders_that_cannot_be_read_are_rows_among_others(
    trained: Path, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, missing = tmp_path / "empty", tmp_path / "missing.png"
    empty.mkdir()
    (good / "broken.png").write_text("no picture")
    out = tmp_path / "answers.csv"
    capsys.readouterr()
    assert main(["predict", str(trained), str(empty), str(good), str(missing), "--out", str(out)]) == 1
    err = capsys.readouterr().err.splitlines()
    assert err[0].startswith(f"hpo: {empty}: contains no pictures (") and err[1].endswith(
        "missing.png: there is no such file"
    )
    assert err[2] == "hpo: 3 of 6 files could not be read" and len(err) == 3
    frame = pd.read_csv(out)
    assert list(frame["error"].isna()) == [False, True, True, True, False, False]


def test_where_nothing_named_can_be_read_nothing_is_given(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "answers.csv"
    capsys.readouterr()
    assert main(["predict", str(trained), str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--out", str(out)]) == 2
    printed, err = capsys.readouterr()
    assert printed == "" and err.count(": there is no such file\n") == 2 == err.count("\n") and not out.exists()
