"""Pretrained weights: from a file where it belongs, or one line that says where that is."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from torch import nn
from torchvision import models as torchvision

from hpo.__main__ import main
from models import build_model, fetch_pretrained, trainable_parameters, without_pretrained

SHAPE = (1, 28, 28)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch's, and no network: a proxy that nobody is."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    # urllib keeps the proxies of its first call for ever: this test's must not become the others'.
    monkeypatch.setattr("urllib.request._opener", None)
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path / "hub" / "checkpoints"


@pytest.mark.parametrize(
    ("name", "url", "file"),
    [
        ("torchvision:resnet18", "https://download.pytorch.org/models/resnet18-f37072fd.pth", "resnet18-f37072fd.pth"),
        ("timm:resnet18", "https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/", "timm-resnet18.safetensors"),
    ],
)
def test_without_a_network_one_line_says_which_file_to_put_where(
    name: str, url: str, file: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"train --model {name} --pretrained head --dataset digits --results-dir"
    assert main([*line.split(), str(tmp_path / "r")]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"hpo: {name}: the pretrained weights are not available (") and err.count("\n") == 1
    assert f"download {url}" in err and err.endswith(f"save it as {home / file}\n")
    assert not (tmp_path / "r").exists() and not list(home.iterdir())
    with pytest.raises(ValueError, match="not available"):
        fetch_pretrained(name, {"pretrained": "whole"})
    fetch_pretrained(name, {"pretrained": "none"})


def test_the_weights_are_taken_but_for_the_head_and_only_the_head_is_trained(home: Path) -> None:
    torch.manual_seed(0)
    theirs = torchvision.resnet18().state_dict()
    torch.save(theirs, home / "resnet18-f37072fd.pth")
    network = build_model("torchvision:resnet18", SHAPE, 10, pretrained="head")
    own = network.state_dict()
    assert torch.equal(own["layer4.1.conv2.weight"], theirs["layer4.1.conv2.weight"])
    assert torch.allclose(own["conv1.weight"], theirs["conv1.weight"].sum(dim=1, keepdim=True))
    assert own["fc.weight"].shape == (10, 512) and trainable_parameters(network) == 5130
    network.train()(torch.rand(4, *SHAPE)).sum().backward()
    after = network.state_dict()
    assert all(torch.equal(after[key], value) for key, value in own.items())  # the statistics of BatchNorm too
    rebuilt = build_model("torchvision:resnet18", SHAPE, 10, **without_pretrained("torchvision:resnet18", PRETRAINED))
    rebuilt.load_state_dict(dict(own))
    images = torch.rand(3, *SHAPE)
    assert torch.equal(rebuilt.eval()(images), network.eval()(images))
    whole = build_model("torchvision:resnet18", SHAPE, 10, pretrained="whole")
    whole.train()(torch.rand(4, *SHAPE))
    assert not torch.equal(whole.state_dict()["bn1.running_mean"], own["bn1.running_mean"])


PRETRAINED = {"pretrained": "head"}


def test_a_thousand_classes_have_a_head_of_their_own_too(home: Path) -> None:
    theirs = torchvision.squeezenet1_1()
    torch.save(theirs.state_dict(), home / "squeezenet1_1-b8a52dc0.pth")
    own = build_model("torchvision:squeezenet1_1", (3, 64, 64), 1000, pretrained="whole")
    assert isinstance(own.classifier, nn.Sequential) and isinstance(own.classifier[1], nn.Conv2d)
    assert not torch.equal(own.classifier[1].weight, theirs.classifier[1].weight)
    assert torch.equal(own.features[0].weight, theirs.features[0].weight)  # type: ignore[index, union-attr]


def test_old_names_and_heads_for_training_alone_are_understood(home: Path) -> None:
    dense = {_old(key): value for key, value in torchvision.densenet121().state_dict().items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in dense
    torch.save(dense, home / "densenet121-a639ec97.pth")
    build_model("torchvision:densenet121", (3, 64, 64), 10, pretrained="whole")
    torch.save(torchvision.googlenet(init_weights=False).state_dict(), home / "googlenet-1378be20.pth")
    build_model("torchvision:googlenet", (3, 64, 64), 10, pretrained="whole")


def _old(key: str) -> str:
    for layer in ("norm", "conv"):
        for number in "12":
            key = key.replace(f".{layer}{number}.", f".{layer}.{number}.") if "denselayer" in key else key
    return key


def test_timms_weights_are_taken_from_the_same_place(home: Path) -> None:
    from safetensors.torch import save_file

    theirs = timm.create_model("resnet18").state_dict()
    save_file(theirs, home / "timm-resnet18.safetensors")
    network = build_model("timm:resnet18", SHAPE, 10, pretrained="head")
    own = network.state_dict()
    assert torch.equal(own["layer4.1.conv2.weight"], theirs["layer4.1.conv2.weight"])
    assert torch.allclose(own["conv1.weight"], theirs["conv1.weight"].sum(dim=1, keepdim=True), atol=1e-6)
    assert trainable_parameters(network) == 5130


@pytest.mark.parametrize(
    ("name", "file"),
    [("torchvision:resnet18", "resnet18-f37072fd.pth"), ("timm:resnet18", "timm-resnet18.safetensors")],
)
def test_a_file_that_is_damaged_or_of_another_network_is_said(name: str, file: str, home: Path) -> None:
    (home / file).write_text("half a download")
    with pytest.raises(ValueError, match=f"^{name}: the pretrained weights .*{file}") as caught:
        build_model(name, SHAPE, 10, pretrained="whole")
    assert "\n" not in str(caught.value)
    torch.save({"other": torch.zeros(1)}, home / "resnet18-f37072fd.pth")
    with pytest.raises(ValueError, match=r"are of another network; remove the file"):
        build_model("torchvision:resnet18", SHAPE, 10, pretrained="whole")
