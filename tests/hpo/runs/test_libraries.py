"""Networks of libraries, from the search to the exported file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from torchvision import models as torchvision

from hpo import StudySpec
from hpo.store.model_file import load
from tests.helpers.commands import printed
from tests.helpers.images import folder_of_digits
from tests.helpers.runs import end, start

NETWORK = "torchvision:shufflenet_v2_x0_5"


@pytest.mark.slow
def test_a_network_of_torchvision_is_searched_and_the_winner_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = "--trials 2 --epochs 1 --dataset digits --train-size 100 --concurrency 1 --finalists 0 --name a"
    code, out, err = end(start(tmp_path, f"--model {NETWORK} --set stem=full {settings}"), seconds=300)
    assert (code, err) == (0, ""), out + err
    frame = pd.read_csv(tmp_path / "a" / "trials.csv")
    assert set(frame["model"]) == {NETWORK} and set(frame["state"]) == {"completed"}
    assert list(frame["parameters"]) == [351_610] * 2 and set(frame["config_stem"]) == {"full"}
    folder = tmp_path / "a"
    assert "288 images" in printed(capsys, "evaluate", folder, "--split", "validation")
    (tmp_path / "pictures").mkdir()
    pictures = folder_of_digits(tmp_path / "pictures", count=2)
    assert len(printed(capsys, "predict", folder, pictures).splitlines()) >= 2
    assert "the outputs differ by at most" in printed(capsys, "export", folder, "--format", "onnx")
    code, out, err = end(start(tmp_path, "--resume a --trials 3"), seconds=300)
    assert (code, err) == (0, ""), out + err
    assert len(pd.read_csv(folder / "trials.csv")) == 3


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
