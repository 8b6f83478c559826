from __future__ import annotations

from pathlib import Path

import pytest

from hpo.networks.training import TrainingSetup, describe
from hpo.spec.normalization import scaling_for
from trainers.config import TrainConfig
from trainers.data.dataset import load_dataset
from trainers.data.images.scaling import Scaling

MEASURED = Scaling((0.1, 0.2, 0.3), (0.3, 0.3, 0.3))
IMAGENET = Scaling((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize("model", ["torchvision:resnet18", "vgg16"])
def test_pretrained_weights_get_what_they_were_trained_with(model: str) -> None:
    for share in ("whole", "head"):
        assert scaling_for(model, {"pretrained": share}, MEASURED) == IMAGENET
    assert scaling_for(model, {"pretrained": "none"}, MEASURED) is MEASURED
    assert scaling_for("cnn", {"dropout": 0.1}, MEASURED) is MEASURED


def test_what_the_user_chooses_holds() -> None:
    given = Scaling(MEASURED.mean, MEASURED.std, is_given=True)
    assert scaling_for("torchvision:resnet18", {"pretrained": "whole"}, given) is given


def test_grey_images_get_the_mean_over_the_channels() -> None:
    scaling = scaling_for("torchvision:resnet18", {"pretrained": "whole"}, Scaling((0.1,), (0.3,)))
    assert scaling.mean == pytest.approx((0.449,), abs=1e-6) and scaling.std == pytest.approx((0.226,), abs=1e-6)


def test_a_description_has_the_normalization_of_its_network() -> None:
    data = load_dataset("digits", Path("x"))
    setups = {
        share: TrainingSetup(model="torchvision:resnet18", train=TrainConfig(), arch={"pretrained": share})
        for share in ("none", "whole")
    }
    assert describe("a", setups["none"], data, None).mean == data.mean
    assert describe("a", setups["whole"], data, None).mean == pytest.approx((0.449,), abs=1e-6)
