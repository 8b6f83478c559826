"""Photos of all sizes through the commands: trained on, evaluated and predicted in the same way."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from hpo.__main__ import main
from tests.helpers.photos import folder_of_photos


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of_photos(tmp_path_factory.mktemp("photos") / "set", is_strange=True)


@pytest.fixture(scope="module")
def trained(photos: Path) -> Path:
    line = f"train --model cnn --dataset {photos} --image-size 40 --resize squash --skip-broken --epochs 12 --name net"
    assert main([*line.split(), "--results-dir", str(photos.parent / "r")]) == 0
    return photos.parent / "r" / "net"


def test_the_description_says_how_images_are_read(trained: Path) -> None:
    best = json.loads((trained / "best.json").read_text())
    assert (best["input_shape"], best["resize"], best["skip_broken"]) == ([3, 40, 40], "squash", True)
    data = json.loads((trained / "fit.json").read_text() if (trained / "fit.json").exists() else "{}").get("data", {})
    assert not data or len(data["skipped"]) == 2


def test_evaluate_reads_them_in_the_same_way(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(trained)]) == 0
    assert "changed" not in capsys.readouterr().out


def test_predict_answers_for_a_photo_that_exif_turns(trained: Path, photos: Path, tmp_path: Path) -> None:
    """The plain photo and the turned one get the same answer."""
    with Image.open(photos / "apple" / "photo 1.jpg") as photo:
        plain = photo.convert("RGB")
    plain.save(tmp_path / "plain.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    plain.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    assert main(["predict", str(trained), str(tmp_path / "plain.png"), str(tmp_path / "turned.png"), "--out",
                 str(tmp_path / "a.csv")]) == 0  # fmt: skip
    first, second = csv.DictReader((tmp_path / "a.csv").read_text().splitlines())
    assert first["class"] == second["class"] == "apple" and first["probability"] == second["probability"]


def test_from_repeats_how_they_were_read(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["train", "--from", str(trained), "--epochs", "1", "--results-dir", str(tmp_path), "--name", "again"]) == 0
    )
    assert "has changed" not in capsys.readouterr().err
    best = json.loads((tmp_path / "again" / "best.json").read_text())
    assert (best["input_shape"], best["resize"], best["skip_broken"]) == ([3, 40, 40], "squash", True)


def test_images_that_cannot_be_read_are_left_out_on_request_everywhere(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = folder_of_photos(tmp_path / "clean")
    usual = f"--model mlp_small --image-size 40 --epochs 1 --results-dir {tmp_path} --name net"
    assert main(["train", *usual.split(), "--dataset", str(clean)]) == 0
    for command in (
        ["evaluate", str(tmp_path / "net")],
        [
            *["baselines", "--system", "C", "--model", "mlp_small", "--seeds", "1", "--max-epochs", "1", "--out"],
            str(tmp_path / "b"),
        ],
    ):
        assert main([*command, "--dataset", str(photos)]) == 2
        assert capsys.readouterr().err.strip().endswith("--skip-broken leaves them out")
        assert main([*command, "--dataset", str(photos), "--skip-broken"]) == 0
        capsys.readouterr()


WRONG = {
    "--image-size 0": "--image-size 0: must be a side from 1 to 1024 pixels, as 64, or height x width, as 48x64",
    "--image-size 48y64": "--image-size 48y64: must be a side",
    "--image-size -3": "--image-size",
    "--image-size 2000": "--image-size 2000: must be a side from 1 to 1024",
    "--resize stretch": "--resize stretch: unknown; choose from crop, pad, squash",
    "--dataset cifar11": "--dataset cifar11: unknown (did you mean cifar10?)",
    "--dataset torchvision:STL11": "--dataset torchvision:STL11: torchvision has no such data set",
}


@pytest.mark.parametrize("line", WRONG)
@pytest.mark.parametrize("command", ["run", "train"])
def test_mistakes_are_one_line(line: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, *line.split(), "--results-dir", str(tmp_path / "r")]) == 2
    err = capsys.readouterr().err
    assert WRONG[line] in err and err.count("\n") == 1 and not (tmp_path / "r").exists()
