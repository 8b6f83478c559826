"""ImageNet's weights in VGG16: from a file where it belongs, or a line that says where that is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import vgg16 as torchvisions

from hpo.__main__ import main
from hpo.session.preflight.planning import preflight
from hpo.spec.study import StudySpec
from models import build_model, count_parameters, trainable_parameters
from models.layers import Dropout

NAME = "vgg16-397923af.pth"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch's, and no network: a proxy that nobody is."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    # urllib keeps the proxies of its first call for ever: this test's must not become the others'.
    monkeypatch.setattr("urllib.request._opener", None)
    return tmp_path / "hub" / "checkpoints"


@pytest.mark.parametrize("share", ["whole", "head"])
def test_without_a_network_one_line_says_which_file_to_put_where(
    share: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"train --model vgg16 --pretrained {share} --dataset digits --results-dir"
    assert main([*line.split(), str(tmp_path / "r")]) == 2
    err = capsys.readouterr().err
    assert err.startswith("hpo: vgg16: the pretrained weights are not available (") and err.count("\n") == 1
    assert f"save it as {home / NAME}" in err and "https://download.pytorch.org/models/" in err
    assert not (tmp_path / "r").exists() and not list(home.glob("*.pth"))
    with pytest.raises(ValueError, match="not available"):
        preflight(StudySpec.of(model="vgg16", set=f"pretrained={share}", dataset="digits"))


def test_a_damaged_file_is_said(home: Path) -> None:
    home.mkdir(parents=True)
    (home / NAME).write_text("half a download")
    with pytest.raises(ValueError, match="not available"):
        build_model("vgg16", (1, 28, 28), 10, pretrained="whole")


def test_the_head_alone_has_few_parameters_to_train() -> None:
    assert count_parameters("vgg16", (1, 28, 28), 10, pretrained="head") == 4096 * 10 + 10
    assert count_parameters("vgg16", (1, 28, 28), 10, pretrained="whole") == 134_301_514
    with pytest.raises(ValueError, match="pretrained 'all': choose from none, whole, head"):
        count_parameters("vgg16", (1, 28, 28), 10, pretrained="all")


@pytest.mark.slow
def test_the_weights_are_taken_and_the_head_alone_moves(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    theirs = torchvisions().state_dict()
    home.mkdir(parents=True)
    torch.save(theirs, home / NAME)
    model = build_model("vgg16", (1, 28, 28), 10, pretrained="whole")
    assert torch.equal(model[1].features[0].weight, theirs["features.0.weight"])  # type: ignore[index, union-attr]
    assert trainable_parameters(model) == 134_301_514
    del model
    line = "train --model vgg16 --pretrained head --dataset digits --train-size 20 --epochs 1 --name a --quiet"
    assert main([*line.split(), "--results-dir", str(tmp_path / "r")]) == 0
    (home / NAME).unlink()  # what was trained needs it no more
    trained = torch.load(tmp_path / "r" / "a" / "best.pt", weights_only=True)["state_dict"]
    assert torch.equal(trained["1.features.28.weight"], theirs["features.28.weight"])
    assert torch.equal(trained["1.classifier.3.weight"], theirs["classifier.3.weight"])
    assert main(["evaluate", str(tmp_path / "r" / "a"), "--split", "validation"]) == 0
    assert "288 images" in capsys.readouterr().out


def test_vgg16_takes_small_grey_images_and_draws_its_dropout_from_its_own_generator() -> None:
    with torch.device("meta"):
        model = build_model("vgg16", (1, 28, 28), 10, dropout=0.3)
        assert model(torch.empty(2, 1, 28, 28)).shape == (2, 10)
        enlarge, network = model.children()
        assert enlarge(torch.empty(2, 1, 28, 28)).shape == (2, 3, 32, 32)
        assert next(network.children())(torch.empty(2, 3, 32, 32)).shape == (2, 512, 1, 1)
    assert [part.p for part in model.modules() if isinstance(part, Dropout)] == [0.3, 0.3]
    assert not any(type(part) is nn.Dropout for part in model.modules())
    grey = torch.rand(2, 1, 40, 40)
    assert torch.equal(enlarge(grey), grey.repeat(1, 3, 1, 1))
