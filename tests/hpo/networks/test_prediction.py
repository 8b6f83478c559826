"""`hpo predict`: pictures of every kind, and files that cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpo.__main__ import main
from hpo.store.model_file import load
from tests.helpers.commands import printed, refused
from tests.helpers.images import folder_of_digits
from trainers.data.dataset import load_dataset
from trainers.loop import predict


def test_predict_inverts_what_is_ink_on_paper(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    description, network = load(trained)
    data = load_dataset("digits", Path("x"), mean=description.mean, std=description.std).test.open()
    expected = predict(network, data, "float32")[:6].softmax(1)
    files = sorted(folder_of_digits(tmp_path).iterdir())
    lines = printed(capsys, "predict", trained / "best.pt", *files).splitlines()
    for line, values in zip(lines, expected, strict=True):
        assert f": {values.argmax()}  {values.max():.3f}" in line and line.endswith("[inverted]")
    assert "inverted" not in printed(capsys, "predict", trained, files[0], "--invert", "no")


def test_predict_of_a_folder_is_csv(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder_of_digits(tmp_path, size=56)
    (tmp_path / "broken.png").write_text("no picture")
    (tmp_path / "notes.txt").write_text("left alone")
    capsys.readouterr()
    assert main(["predict", str(trained), str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert err == "hpo: 1 of 7 files could not be read\n"
    (tmp_path / "out.csv").write_text(out)
    frame = pd.read_csv(tmp_path / "out.csv").set_index("file")
    assert len(frame) == 7 and "cannot be read as a picture" in frame.loc[str(tmp_path / "broken.png"), "error"]
    good = frame.dropna(subset="probability")
    chances = good[[f"p_{n}" for n in range(10)]]
    assert np.allclose(chances.sum(axis=1), 1, atol=1e-4) and np.allclose(chances.max(axis=1), good["probability"])
    right = [int(name.rpartition("_")[2][0]) == int(row["class"]) for name, row in good.iterrows()]
    assert sum(right) >= 5
    (tmp_path / "broken.png").unlink()
    printed(capsys, "predict", trained, tmp_path, "--out", tmp_path / "answers.csv")
    assert len(pd.read_csv(tmp_path / "answers.csv")) == 6


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


def test_wrong_input_to_predict(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_text("no picture")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "give at least one picture" in refused(capsys, "predict", trained)
    assert "a.png: cannot be read as a picture" in refused(capsys, "predict", trained, tmp_path / "a.png")
    assert "b.png: there is no such file" in refused(capsys, "predict", trained, tmp_path / "b.png")
    assert "contains no pictures" in refused(capsys, "predict", trained, empty)
    assert "--invert maybe: unknown" in refused(capsys, "predict", trained, tmp_path / "a.png", "--invert", "maybe")
