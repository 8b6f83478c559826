"""What only a CUDA device can show."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models import build_model
from trainers import checkpoint
from trainers.config import TrainConfig
from trainers.data.dataset import load_dataset
from trainers.data.splits import TrainingData
from trainers.fused import stacked_conv
from trainers.fused.trainer import FusedTrainer
from trainers.gpu.graphs import StepRunner
from trainers.loop import use_ieee_float32
from trainers.single import SingleTrainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
MAKE = partial(build_model, "lenet5_bn", (1, 28, 28), 10, dropout=0.2)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return load_dataset("digits", Path("x"), train_size=300).training


def config(device: str = "cuda", **changed: Any) -> TrainConfig:
    return TrainConfig(**{"device": device, "batch_size": 32, "schedule": "cosine", "epochs": 4, **changed})


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator("cuda").manual_seed(1), device="cuda")


@pytest.fixture(params=["grouped", "kernel"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each form of a convolution in turn, whichever is faster."""
    for name in ("forward_forms", "gradient_forms"):
        form = getattr(stacked_conv, name)()[request.param]
        monkeypatch.setattr(stacked_conv, name, lambda form=form: {"grouped": form})
    stacked_conv._fastest.clear()
    yield
    stacked_conv._fastest.clear()


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_trial_that_is_not_finite_stays_alone(dtype: torch.dtype) -> None:
    x, weight = random(16, 4 * 8, 14, 14).requires_grad_(), random(4, 16, 8, 3, 3)
    for value in (torch.nan, torch.inf):
        broken = weight.clone()
        broken[1] = value
        broken.requires_grad_()
        with torch.autocast("cuda", dtype, enabled=dtype != torch.float32):
            trials = stacked_conv.convolve(x, broken, None, 1).chunk(4, 1)
            alone = stacked_conv.convolve(x, weight, None, 1).chunk(4, 1)
        of_x, of_weight = torch.autograd.grad(sum(trial.float().sum() for trial in trials), (x, broken))
        assert not trials[1].isfinite().all()
        for trial in (0, 2, 3):
            torch.testing.assert_close(trials[trial], alone[trial])
            assert of_weight[trial].isfinite().all() and of_x.chunk(4, 1)[trial].isfinite().all()


@pytest.mark.usefixtures("form")
def test_float32_is_ieees() -> None:
    """TF32 is off by about 1e-3."""
    use_ieee_float32()
    x, weight = random(8, 2 * 64, 14, 14), random(2, 64, 64, 3, 3)
    exact = stacked_conv.grouped(x.double(), weight.double(), None, 1)
    assert (stacked_conv.convolve(x, weight, None, 1) - exact).abs().max() / exact.abs().max() < 2e-6
    images = random(8, 64, 14, 14)
    one, other = F.conv2d(images, weight[0]), F.conv2d(images.double(), weight[0].double())
    assert (one - other).abs().max() / other.abs().max() < 2e-6


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_checkpoint_changes_its_device(optimizer: str, data: TrainingData, tmp_path: Path) -> None:
    for number, (source, target) in enumerate((("cuda", "cpu"), ("cpu", "cuda"), ("cuda", "cuda"))):
        first = SingleTrainer(MAKE, data, config(source, optimizer=optimizer))
        first.step()
        path = tmp_path / f"{number}.pt"
        checkpoint.save(path, first.save())
        second = SingleTrainer(MAKE, data, config(target, optimizer=optimizer))
        assert bool(second.load(checkpoint.load(path))) == (source != target)
        (result,) = second.step()
        assert result.epoch == 2 and result.finite


def test_a_step_that_cannot_be_captured_is_taken_as_it_is() -> None:
    """Also when it is the first of this process, and draws from the generators that the graph had been told of."""
    noise, weights = torch.Generator("cuda").manual_seed(1), torch.zeros(3, device="cuda")

    def step(batch: Tensor) -> None:
        weights.add_(torch.rand(3, generator=noise, device="cuda") + torch.rand(3, device="cuda"))
        assert float(weights.sum()) >= 0  # the host reads it

    steps = StepRunner(step, lambda: {"weights": weights}, noise, capture=True)
    for _ in range(2):
        steps.run(torch.arange(9, device="cuda").split(3), lambda _: None)
    assert not steps.capture and weights.min() > 0
    before = noise.get_state()
    torch.rand(3, generator=noise, device="cuda")
    assert not torch.equal(before, noise.get_state())


@pytest.mark.parametrize("schedule", ["wsd", "linear"])
@pytest.mark.parametrize("fused", [False, True])
def test_a_graph_does_what_its_steps_do(schedule: str, fused: bool, data: TrainingData) -> None:
    own = config(
        schedule=schedule, augment="shift-flip", label_smoothing=0.1, clip_norm=0.3, ema=0.9, optimizer="sgd", lr=0.01
    )
    results = []
    for capture in (True, False):
        others = [own, replace(own, seed=1, label_smoothing=0.0, clip_norm=0.0, ema=0.0)]
        trainer = FusedTrainer([MAKE] * 2, data, others) if fused else SingleTrainer(MAKE, data, own)
        trainer.steps.capture = capture
        results.append([[result.val_loss for result in trainer.step()] for _ in range(3)])
        assert trainer.steps.capture is capture and (trainer.steps.graph is not None) is capture
    assert results[0] == [pytest.approx(epoch, abs=1e-3) for epoch in results[1]]


def test_trials_change_their_device(data: TrainingData, tmp_path: Path) -> None:
    def trainer(device: str) -> FusedTrainer:
        return FusedTrainer([MAKE] * 2, data, [config(device), replace(config(device), seed=1, optimizer="sgd")])

    for source, target in (("cuda", "cpu"), ("cpu", "cuda")):
        first = trainer(source)
        first.step()
        for trial in range(2):
            checkpoint.save(tmp_path / f"{source}-{trial}.pt", first.save(trial))
        second = trainer(target)
        assert "another device" in second.load(*(checkpoint.load(tmp_path / f"{source}-{n}.pt") for n in range(2)))
        assert all(result.epoch == 2 and result.finite for result in second.step())


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_training_warns_of_nothing(optimizer: str, data: TrainingData) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer = SingleTrainer(MAKE, data, config(optimizer=optimizer))
        trainer.steps.capture = False  # as for a network that no graph can hold
        trainer.step()
        SingleTrainer(MAKE, data, config(optimizer=optimizer)).step()
