"""torchvision:NAME and timm:NAME, from the name to the network."""

from __future__ import annotations

import subprocess
import sys

import pytest
import timm
import torch
from torch import nn
from torchvision import models as torchvision

from models import build_model, count_parameters, hyperparameters, is_built_in, is_known, is_own, without_pretrained
from models.libraries import check_name, names, normalization

HANDFUL = [
    "torchvision:resnet18",
    "torchvision:mobilenet_v3_small",
    "torchvision:efficientnet_b0",
    "torchvision:vit_b_16",
    "torchvision:convnext_tiny",
    "torchvision:squeezenet1_1",
    "torchvision:densenet121",
    "torchvision:googlenet",
    "torchvision:regnet_y_400mf",
    "timm:resnet18",
    "timm:vit_tiny_patch16_224",
]
GREY, SMALL, LARGE = (1, 28, 28), (3, 32, 32), (3, 224, 224)


def network_for(name: str, shape: tuple[int, int, int]) -> nn.Module:
    """Builds the network on the meta device, in the memory layout that it is trained in; it takes such images."""
    with torch.device("meta"), torch.no_grad():
        network = build_model(name, shape, 10).to(memory_format=torch.channels_last).eval()
        assert network(torch.empty(3, *shape)).shape == (3, 10)
    return network


def check_training(name: str, shape: tuple[int, int, int]) -> None:
    """Takes a gradient there, and gives another network the values, as a checkpoint has them."""
    network = network_for(name, shape).train()
    with torch.device("meta"):
        output = network(torch.empty(2, *shape).to(memory_format=torch.channels_last))
        assert output.shape == (2, 10)
        output.sum().backward()
        other = build_model(name, shape, 10)
    assert all(parameter.grad is not None for parameter in network.parameters())
    other.load_state_dict({key: value.detach() for key, value in network.state_dict().items()})


@pytest.mark.parametrize("name", HANDFUL)
def test_some_networks_take_images_of_all_sizes_and_can_be_trained(name: str) -> None:
    network_for(name, GREY)
    check_training(name, SMALL)
    network_for(name, LARGE)


@pytest.mark.long
@pytest.mark.parametrize("name", torchvision.list_models(module=torchvision))
def test_every_classifier_of_torchvision_does(name: str) -> None:
    test_some_networks_take_images_of_all_sizes_and_can_be_trained(f"torchvision:{name}")


def test_names_are_those_of_the_libraries() -> None:
    assert list(names("torchvision")) == torchvision.list_models(module=torchvision)
    assert set(names("timm")) == set(timm.list_models())
    assert names("no_such_library") == ()


def test_names_are_checked_without_an_import_of_torch() -> None:
    script = (
        "import sys, models; print(models.is_known('torchvision:resnet18'), models.is_known('timm:resnet81'), "
        "'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False"]


def test_a_librarys_network_is_no_code_of_the_users() -> None:
    assert is_known("torchvision:resnet18") and is_known("timm:resnet18.a1_in1k") and not is_known("torchvision")
    assert not is_own("torchvision:resnet18") and not is_own("cnn") and is_own("nets:Net") and is_own("net.py:Net")
    assert is_built_in("timm:resnet18") and is_built_in("cnn") and not is_built_in("nets:Net")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision:resnet81", "torchvision has no such classifier; did you mean resnet18, resnet152, resnet101"),
        ("torchvision:fasterrcnn_resnet50_fpn", "torchvision has no such classifier; "),
        ("torchvision:r3d_18", "torchvision has no such classifier; "),
        ("torchvision:resnet18.a1_in1k", "torchvision has no such classifier; did you mean resnet18"),
        ("timm:qqqqqq", "timm has no such classifier; to list them: hpo models timm"),
        ("torchvision", "give torchvision:NAME, such as torchvision:resnet18; to list the names: hpo models torch"),
        ("timm:", "give timm:NAME, such as timm:resnet18"),
    ],
)
def test_a_wrong_name_is_answered_with_close_ones(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: {message}") as caught:
        check_name(name)
    assert "\n" not in str(caught.value)


def test_without_timm_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.libraries.listing.find_spec", lambda _: None)
    line = r'^timm:resnet18: needs the package timm: pip install "podium-hpo\[timm\]"$'
    names.cache_clear()
    try:
        with pytest.raises(ValueError, match=line):
            hyperparameters("timm:resnet18")
    finally:
        names.cache_clear()


def test_hyperparameters_are_the_libraries_own_rates() -> None:
    assert hyperparameters("torchvision:resnet18") == {"stem": "auto", "pretrained": "none"}
    assert hyperparameters("torchvision:alexnet") == {"stem": "auto", "pretrained": "none", "dropout": 0.5}
    assert hyperparameters("torchvision:convnext_tiny")["stochastic_depth"] == pytest.approx(0.1)
    assert hyperparameters("timm:swin_tiny_patch4_window7_224")["stochastic_depth"] == pytest.approx(0.1)
    assert hyperparameters("timm:deit_tiny_distilled_patch16_224")["dropout"] == 0.0  # its base class takes it


def test_rates_are_set() -> None:
    with torch.device("meta"):
        network = build_model("torchvision:efficientnet_b0", (3, 32, 32), 10, dropout=0.4, stochastic_depth=0.5)
        timms = build_model("timm:convnext_tiny", (3, 32, 32), 10, dropout=0.4, stochastic_depth=0.5)
        usual = torchvision.efficientnet_b0()
    depths, before = (
        [part.p for part in one.modules() if isinstance(part, torchvision.efficientnet.StochasticDepth)]
        for one in (network, usual)
    )
    assert [part.p for part in network.modules() if isinstance(part, nn.Dropout)] == [0.4]
    assert max(depths) == 0.5 and depths == pytest.approx([0.5 / max(before) * depth for depth in before])
    assert timms.head.drop.p == 0.4 and timms.stages[-1].blocks[-1].drop_path.drop_prob == pytest.approx(0.5)  # type: ignore[index, union-attr]


def test_a_hyperparameter_that_it_has_not_is_a_type_error_as_of_every_callable() -> None:
    with pytest.raises(TypeError, match="torchvision:resnet18 takes no activation, dropout"):
        build_model("torchvision:resnet18", (1, 28, 28), 10, dropout=0.1, activation="relu")
    with pytest.raises(ValueError, match="stem 'tiny': choose from auto, full, small"):
        build_model("torchvision:resnet18", (1, 28, 28), 10, stem="tiny")


def test_parameters_are_the_published_ones() -> None:
    assert count_parameters("torchvision:resnet18", (3, 32, 32), 10) == 11_173_962  # of ResNet-18 for CIFAR-10
    assert count_parameters("torchvision:resnet18", (3, 224, 224), 1000) == 11_689_512
    assert count_parameters("torchvision:squeezenet1_1", (3, 224, 224), 1000) == 1_235_496


def test_the_same_seed_gives_the_same_network_whether_it_was_tried_before_or_not() -> None:
    def weights() -> torch.Tensor:
        torch.manual_seed(3)
        return build_model("torchvision:squeezenet1_0", (2, 30, 34), 4).classifier[1].weight  # type: ignore[index, union-attr]

    assert torch.equal(weights(), weights())


def test_what_is_rebuilt_without_pretrained_weights_has_the_same_stem() -> None:
    assert without_pretrained("torchvision:resnet18", {"pretrained": "head", "dropout": 0.1}) == {
        "dropout": 0.1,
        "stem": "full",
    }
    assert without_pretrained("torchvision:resnet18", {"pretrained": "whole", "stem": "small"}) == {"stem": "small"}
    assert without_pretrained("torchvision:resnet18", {"pretrained": "none"}) == {}
    assert without_pretrained("vgg16", {"pretrained": "head"}) == {}


def test_normalization_is_that_of_the_weights() -> None:
    imagenet = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    assert normalization("torchvision:resnet18") == normalization("vgg16") == normalization("timm:resnet18") == imagenet
    half = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    assert normalization("torchvision:googlenet") == normalization("timm:vit_tiny_patch16_224") == half
    assert normalization("cnn") is None and normalization("timm:coatnet_0_224") is None
