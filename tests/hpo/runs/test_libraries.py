"""Networks of libraries, from the search to the exported file."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
import torch
from torchvision import models as torchvision

from hpo import StudySpec
from hpo.store.model_file import load
from tests.helpers.commands import printed
from tests.helpers.photos import folder_of_photos
from tests.helpers.runs import end, start

NETWORK = "torchvision:shufflenet_v2_x0_5"


@pytest.mark.slow
def test_a_network_of_torchvision_is_searched_for_photos_and_the_winner_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, folder = folder_of_photos(tmp_path / "photos", is_strange=True), tmp_path / "a"
    data = f"--dataset {photos} --image-size 32 --skip-broken --metric macro_f1"
    settings = "--trials 2 --epochs 1 --concurrency 1 --final-seeds 2 --name a"
    code, out, err = end(start(tmp_path, f"--model {NETWORK} --set stem=full {data} {settings}"), seconds=300)
    assert (code, err) == (0, ""), out + err
    frame = pd.read_csv(folder / "trials.csv")
    assert set(frame["model"]) == {NETWORK} and set(frame["state"]) == {"completed"}
    assert set(frame["parameters"]) == {347_942} and set(frame["stem"]) == {"full"}
    assert "macro f1" in printed(capsys, "evaluate", folder, "--split", "validation")
    answers = printed(capsys, "predict", folder, photos / "apple" / "photo 1.jpg", photos / "apple" / "photo 2.jpg")
    assert answers.count("photo") >= 2
    exported = re.search(
        r"the outputs differ by at most ([-.e0-9]+)", printed(capsys, "export", folder, "--format", "onnx")
    )
    assert exported and float(exported[1]) < 1e-4
    code, out, err = end(start(tmp_path, "--resume a --trials 3 --finalists 0"), seconds=300)
    assert (code, err) == (0, ""), out + err
    assert len(pd.read_csv(folder / "trials.csv")) == 3
    assert NETWORK in printed(capsys, "compare", folder, folder)


@pytest.mark.slow
def test_a_pretrained_head_is_trained_and_used_when_the_pretrained_file_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    theirs, file = torchvision.resnet18().state_dict(), tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    file.parent.mkdir(parents=True)
    torch.save(theirs, file)
    line = "train --model torchvision:resnet18 --pretrained head --dataset digits --train-size 64 --epochs 1 --name a"
    assert "lr=0.0003" in printed(capsys, *line.split(), "--results-dir", tmp_path / "r")
    file.unlink()
    description, network = load(tmp_path / "r" / "a")
    trained = network.state_dict()
    assert torch.equal(trained["layer4.1.conv2.weight"], theirs["layer4.1.conv2.weight"])
    assert torch.equal(trained["bn1.running_mean"], theirs["bn1.running_mean"])
    assert description.arch == {"stem": "full"} and trained["conv1.weight"].shape == (64, 1, 7, 7)
    assert "288 images" in printed(capsys, "evaluate", tmp_path / "r" / "a", "--split", "validation")


def test_a_study_names_them_as_the_flag_does() -> None:
    assert StudySpec.of(model="torchvision:resnet18").search.model == ("torchvision:resnet18",)
    with pytest.raises(ValueError, match="--model torchvision:resnet81: torchvision has no such classifier"):
        StudySpec.of(model="torchvision:resnet81")
