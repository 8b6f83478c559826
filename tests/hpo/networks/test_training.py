from __future__ import annotations

from pathlib import Path

import pytest

from hpo.networks.training import TrainingSetup, check_device, describe, resolve_device, train_model
from hpo.system.errors import UserError
from trainers.config import FitResult, TrainConfig
from trainers.data.dataset import Dataset, load_dataset


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits", Path("x"), train_size=64)


SETUP = TrainingSetup(model="mlp_small", train=TrainConfig(epochs=3, batch_size=32))


def test_a_training_reports_its_epochs_and_the_batches_within(digits: Dataset) -> None:
    reported: list[int] = []
    fractions: list[float] = []

    def report(so_far: FitResult) -> None:
        reported.append(len(so_far.curve))

    fitted = train_model(SETUP, digits, report, watch=fractions.append)
    assert reported == [1, 2, 3] and len(fitted.curve) == 3 and fitted.best_weights
    assert fractions and all(0 <= fraction <= 1 for fraction in fractions)


def test_a_description_leaves_out_what_only_the_training_needs(digits: Dataset) -> None:
    setup = TrainingSetup(model="vgg16", train=SETUP.train, arch={"pretrained": "head", "dropout": 0.5})
    described = describe("a", setup, digits, 64)
    assert described.arch == {"dropout": 0.5} and described.epochs == 3 and described.train_size == 64
    setup = TrainingSetup(model="torchvision:resnet18", train=SETUP.train, arch={"pretrained": "head"})
    assert describe("a", setup, digits, 64).arch == {"stem": "full"}  # which an image of 28 pixels would not get
    assert described.hashes == digits.hashes and described.background == "dark"


def test_devices() -> None:
    assert resolve_device("cpu") == "cpu" and resolve_device("auto") in ("cpu", "cuda")
    check_device("cuda", has_gpu=True)
    with pytest.raises(UserError, match="--device cuda: this machine has no CUDA GPU; choose from cpu, auto"):
        check_device("cuda", has_gpu=False)
