"""All networks, augmentations, losses and loops on a CUDA device: what is captured there, and that it learns."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from models import MODELS, build_model
from tests.examples.co_teaching import CoTeaching
from trainers.config import AUGMENTATIONS, LOSSES, MIXTURES, TrainConfig
from trainers.data.dataset import load_dataset
from trainers.data.splits import Split, TrainingData
from trainers.ddp import DistributedTrainer, RankInfo, open_rendezvous
from trainers.fused.trainer import FusedTrainer
from trainers.gpu.graphs import AUGMENTATIONS_ON_HOST
from trainers.gpu.probe import probe
from trainers.own_trainer import OwnTrainer
from trainers.single import SingleTrainer, warm_up

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
MAKE = partial(build_model, "lenet5_bn", (1, 28, 28), 10, dropout=0.2)
PARTS = [*AUGMENTATIONS, *MIXTURES]


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return load_dataset("digits", Path("x"), train_size=300).training


@pytest.fixture(scope="module")
def photos() -> TrainingData:
    """Coloured images of bytes, as of a folder."""
    drawn = torch.Generator().manual_seed(0)

    def split(count: int) -> Split:
        labels = torch.randint(10, (count,), generator=drawn)
        return Split(torch.randint(256, (count, 3, 64, 64), generator=drawn).to(torch.uint8), labels)

    return TrainingData(split(128), split(40))


def config(**changed: Any) -> TrainConfig:
    return TrainConfig(**{"device": "cuda", "batch_size": 32, "schedule": "cosine", "epochs": 3, **changed})


def losses(trainer: SingleTrainer | FusedTrainer, capture: bool, epochs: int = 2) -> list[list[float]]:
    """The validation losses of each epoch's trials. Checks that the steps were captured, or were not."""
    trainer.steps.capture &= capture
    values = [[result.val_loss for result in trainer.step()] for _ in range(epochs)]
    assert (trainer.steps.graph is not None) is capture
    trainer.close()
    return values


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", MODELS)
def test_every_architecture_is_captured(name: str, precision: str, data: TrainingData) -> None:
    make = partial(build_model, name, (1, 28, 28), 10)
    (first,), (last,) = losses(SingleTrainer(make, data, config(precision=precision, lr=3e-4)), capture=True)
    assert first == first and last < 2.5


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("augment", PARTS)
def test_every_augmentation_does_the_same_in_a_graph(augment: str, fused: bool, photos: TrainingData) -> None:
    make: Callable[[], Any] = partial(build_model, "lenet5", (3, 64, 64), 10)

    def trainer() -> SingleTrainer | FusedTrainer:
        own = config(augment=augment)
        return FusedTrainer([make] * 2, photos, [own] * 2) if fused else SingleTrainer(make, photos, own)

    capture = augment not in AUGMENTATIONS_ON_HOST
    captured, plain = losses(trainer(), capture), losses(trainer(), capture=False)
    assert captured == [pytest.approx(epoch, abs=2e-3) for epoch in plain]


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_captured(loss: str, metric: str, fused: bool, data: TrainingData) -> None:
    own = config(loss=loss, metric=metric, class_weights="balanced", sampler_weights="balanced", augment="mixup")
    trainer = FusedTrainer([MAKE] * 2, data, [own] * 2) if fused else SingleTrainer(MAKE, data, own)
    first, last = losses(trainer, capture=True)
    assert max(last) < max(first)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "efficientnet_b0"])
def test_torchvisions_networks_are_captured(name: str, photos: TrainingData) -> None:
    make = partial(build_model, f"torchvision:{name}", (3, 64, 64), 10)
    losses(SingleTrainer(make, photos, config(precision="bf16", augment="crop+flip")), capture=True)


def test_trials_that_stay_go_on(data: TrainingData) -> None:
    trainer = FusedTrainer([MAKE] * 4, data, [config(seed=seed, lr=3e-3) for seed in range(4)])
    before = [result.val_loss for result in trainer.step()]
    trainer.keep([3, 1])
    after = [result.val_loss for result in trainer.step()]
    assert trainer.steps.graph is not None and len(after) == 2
    assert after[0] < before[3] and after[1] < before[1]


def test_a_loop_of_the_users_trains_there(data: TrainingData) -> None:
    trainer = OwnTrainer(CoTeaching, MAKE, data, config(lr=3e-3), {"forget": 0.1})
    results = [trainer.step()[0] for _ in range(2)]
    assert results[1].val_loss < results[0].val_loss


def test_processes_share_batches_there(data: TrainingData) -> None:
    """One process: NCCL takes no two on one device."""
    meeting = open_rendezvous("127.0.0.1")
    trainer = DistributedTrainer(MAKE, data, config(), RankInfo("127.0.0.1", meeting.port, 0, 1), meeting)
    try:
        (first,), (last,) = trainer.step(), trainer.step()
        assert last.val_loss < first.val_loss
    finally:
        trainer.close()


def test_it_measures_what_a_trial_takes(data: TrainingData) -> None:
    warm_up(data, config())
    measured = probe(MAKE, data, config(batch_size=64), group_sizes=[2, 4], optimizers=["adam", "sgd"])
    assert set(measured.images_per_s) == {1, 2, 4} and 0 < measured.busy <= 1
    assert 2**29 < measured.peak_bytes < 2**32 < measured.total_bytes
