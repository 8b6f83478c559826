"""The first layers: channels, stride and pooling."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from models import build_model
from models.libraries.stem import first_convolution, set_channels, shrink_stem


def network(name: str, shape: tuple[int, int, int], **arch: Any) -> Any:
    with torch.device("meta"):
        return build_model(name, shape, 10, **arch)


def test_small_images_have_a_stem_without_stride_and_pooling() -> None:
    small, full = network("torchvision:resnet18", (3, 32, 32)), network("torchvision:resnet18", (3, 64, 64))
    assert (small.conv1.stride, small.conv1.kernel_size, small.conv1.padding) == ((1, 1), (3, 3), (1, 1))
    assert isinstance(small.maxpool, nn.Identity)
    assert (full.conv1.stride, full.conv1.kernel_size) == ((2, 2), (7, 7)) and isinstance(full.maxpool, nn.MaxPool2d)
    assert network("torchvision:resnet18", (3, 32, 32), pretrained="whole").conv1.stride == (2, 2)
    assert network("torchvision:resnet18", (3, 32, 32), stem="full").conv1.stride == (2, 2)
    assert network("torchvision:resnet18", (3, 224, 224), stem="small").conv1.stride == (1, 1)


def test_poolings_of_later_layers_stay() -> None:
    squeezed = network("torchvision:squeezenet1_1", (3, 32, 32))
    assert sum(isinstance(part, nn.MaxPool2d) for part in squeezed.modules()) == 2  # of 3
    mobile = network("torchvision:mobilenet_v2", (3, 32, 32))
    assert sum(max(part.stride) > 1 for part in mobile.modules() if isinstance(part, nn.Conv2d)) == 4  # of 5
    dense = network("torchvision:densenet121", (3, 32, 32))
    assert sum(isinstance(part, nn.AvgPool2d) for part in dense.modules()) == 3


@pytest.mark.parametrize(("name", "stride"), [("torchvision:vit_b_16", 16), ("torchvision:vgg11", 1)])
def test_a_network_without_such_a_stem_refuses_it_in_one_line(name: str, stride: int) -> None:
    line = rf"^{name}: stem=small does not apply \(its first convolution has stride {stride}, not 2 to 4\); choose auto"
    with pytest.raises(ValueError, match=line):
        network(name, (1, 28, 28), stem="small")


def test_images_too_small_are_resized_in_the_network_to_the_least_that_it_takes() -> None:
    resize, _ = network("torchvision:vgg11", (1, 28, 40))
    assert resize.size == (32, 40) and resize(torch.rand(2, 1, 28, 40)).shape == (2, 1, 32, 40)
    assert network("torchvision:vit_b_16", (1, 28, 28))[0].size == (32, 32)  # whole patches
    assert network("torchvision:vit_b_16", (3, 48, 48)).image_size == 48
    assert network("torchvision:inception_v3", (1, 8, 8))[0].size == (75, 75)


def test_pretrained_filters_are_summed_for_grey_images_and_repeated_for_more_channels() -> None:
    filters = torch.rand(4, 3, 5, 5)
    images = torch.rand(2, 1, 9, 9)
    for channels in (1, 5):
        conv = nn.Conv2d(3, 4, 5, bias=False)
        conv.weight = nn.Parameter(filters)
        grey = conv(images.expand(-1, 3, -1, -1))
        set_channels(conv, channels, keeps_filters=True)
        assert conv.weight.shape == (4, channels, 5, 5)
        if channels == 1:
            assert torch.allclose(conv(images), grey, atol=1e-5)
        else:
            assert torch.allclose(conv.weight[:, 3], filters[:, 0] * 3 / 5)


def test_pretrained_filters_are_scaled_for_a_small_stem_and_others_drawn_anew() -> None:
    for keeps in (True, False):
        stem = nn.Sequential(nn.Conv2d(3, 4, 7, stride=2, padding=3), nn.MaxPool2d(3, 2, 1), nn.Conv2d(4, 4, 3))
        with torch.no_grad():
            first_convolution(stem).weight.fill_(0.5)
        shrink_stem(stem, keeps_filters=keeps)
        weight = first_convolution(stem).weight
        assert weight.shape == (4, 3, 3, 3) and isinstance(stem[1], nn.Identity)
        if keeps:
            assert torch.allclose(weight.sum(dim=(2, 3)), torch.tensor(0.5 * 49))
        else:
            assert weight.std() > 0 and weight.abs().max() < 0.5
