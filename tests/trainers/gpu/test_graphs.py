"""The steps of an accelerator, taken on the CPU: all of them but the capture itself."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models import build_model
from trainers.config import TrainConfig
from trainers.data.dataset import load_dataset
from trainers.data.splits import TrainingData
from trainers.fused.trainer import FusedTrainer
from trainers.gpu.graphs import StepRunner, is_capturable
from trainers.single import SingleTrainer

REGULARIZATION: dict[str, Any] = {"label_smoothing": 0.1, "clip_norm": 0.3, "ema": 0.9}


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return load_dataset("digits", Path("x"), train_size=150).training


class Resident(SingleTrainer):
    """Trains on the CPU with the steps of an accelerator."""

    def _train(self, indices: tuple[Tensor, ...]) -> tuple[float, float]:
        return self._train_resident(indices)


@pytest.mark.parametrize("schedule", ["none", "cosine", "wsd"])
@pytest.mark.parametrize("further", [{}, {"augment": "shift-flip", **REGULARIZATION}])
def test_an_epoch_on_an_accelerator_is_an_epoch(data: TrainingData, schedule: str, further: dict[str, Any]) -> None:
    config = TrainConfig(batch_size=32, schedule=schedule, epochs=3, **{"augment": "rotate-crop", **further})
    make = partial(build_model, "lenet5_bn", (1, 28, 28), 10, dropout=0.4)
    plain, resident = SingleTrainer(make, data, config), Resident(make, data, config)
    for _ in range(3):
        (one,), (other,) = plain.step(), resident.step()
        assert one.train_loss == pytest.approx(other.train_loss, abs=1e-6)
        assert (one.train_accuracy, one.val_loss) == (other.train_accuracy, other.val_loss)
    assert all(torch.equal(value, resident.weights()[name]) for name, value in plain.weights().items())


def test_it_says_how_far_an_epoch_is(data: TrainingData) -> None:
    make, heard = partial(build_model, "mlp_small", (1, 28, 28), 10), list[float]()
    Resident(make, data, TrainConfig(batch_size=50), heard.append).step()
    assert heard == [1 / 3, 2 / 3, 1.0]


class Fake:
    """A graph on a machine without an accelerator: what was captured is called again."""

    def __init__(self, steps: StepRunner) -> None:
        self.replay = steps._take_next


def test_a_captured_step_takes_one_batch_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[list[int]] = []
    steps = StepRunner(lambda batch: taken.append(batch.tolist()), dict, torch.Generator(), capture=True)
    captures: list[int] = []
    monkeypatch.setattr(steps, "_captured", lambda: captures.append(1) or Fake(steps))
    after: list[int] = []
    for first in (0, 10):
        batches = torch.arange(first, first + 7).split(3)
        steps.run(batches, after.append)
    assert taken == [[0, 1, 2], [3, 4, 5], [6], [10, 11, 12], [13, 14, 15], [16]]
    assert after == [0, 1, 2] * 2 and len(captures) == 1


def test_a_step_that_cannot_be_captured_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    taken: list[Tensor] = []
    steps = StepRunner(taken.append, dict, torch.Generator(), capture=True)
    monkeypatch.setattr(steps, "_captured", fails)
    steps.run(torch.arange(9).split(3), lambda _: None)
    steps.run(torch.arange(9).split(3), lambda _: None)
    assert [batch.tolist() for batch in taken] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]] * 2


class Stream:
    def wait_stream(self, other: object) -> None: ...


class Graph:
    def register_generator_state(self, generator: object) -> None: ...


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA's calls around a capture on a machine without: what is captured is run, as it is not there."""
    for name in ("Stream", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, Stream)
    for name in ("stream", "graph"):
        monkeypatch.setattr(torch.cuda, name, lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "get_rng_state", torch.get_rng_state)
    monkeypatch.setattr(torch.cuda, "set_rng_state", torch.set_rng_state)


def trainers(data: TrainingData, optimizer: str, **further: Any) -> list[Resident | FusedTrainer]:
    config = TrainConfig(batch_size=32, optimizer=optimizer, **further)
    make = partial(build_model, "lenet5_bn", (1, 28, 28), 10, dropout=0.4)
    others = replace(config, seed=1), replace(config, seed=1, optimizer="sgd")
    fused = [FusedTrainer([make] * 2, data, [config, other]) for other in others]
    return [Resident(make, data, config), *fused]


@pytest.mark.usefixtures("no_cuda")
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("epochs", [0, 1])
@pytest.mark.parametrize("further", [{}, REGULARIZATION])
def test_a_capture_leaves_nothing_behind(
    data: TrainingData, optimizer: str, epochs: int, further: dict[str, Any]
) -> None:
    pair = (trainers(data, optimizer, **further) for _ in range(2))
    for captured, plain in zip(*pair, strict=True):
        for trainer in (captured, plain):
            for _ in range(epochs):
                trainer.step()
        trials = (2,) if isinstance(captured, FusedTrainer) else ()
        captured.model.train()
        captured.steps.batches = (
            torch.arange(64).reshape(2, 32).unsqueeze(1).expand(2, *trials, 32)
            if trials
            else torch.arange(64).reshape(2, 32)
        )
        captured.steps.next = torch.zeros(1, dtype=torch.int64)
        captured.steps._captured()
        assert torch.equal(captured.noise.get_state(), plain.noise.get_state())
        for _ in range(2):
            captured.step()
            plain.step()
        for trial in range((len(trials) and 2) or 1):
            weights = plain.weights(trial)
            assert all(torch.equal(value, weights[name]) for name, value in captured.weights(trial).items())


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        torch.AcceleratorError("CUDA error: out of memory"),
    ],
    ids=str,
)
def test_no_memory_is_not_taken_for_a_step_that_cannot_be_captured(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise error

    steps = StepRunner(lambda _: None, dict, torch.Generator(), capture=True)
    monkeypatch.setattr(steps, "_captured", fails)
    with pytest.raises(type(error), match=str(error)[:12]):
        steps.run(torch.arange(9).split(3), lambda _: None)


def test_a_step_that_broke_off_leaves_no_gradients(data: TrainingData) -> None:
    for broken, plain in zip(trainers(data, "adam"), trainers(data, "adam"), strict=True):
        batch = torch.arange(32) if isinstance(broken, SingleTrainer) else torch.arange(32).expand(2, 32)
        step, broken.optimizer.step = broken.optimizer.step, _break_off  # type: ignore[method-assign]
        noise = broken.noise.get_state()
        with pytest.raises(RuntimeError, match="no such operation"):
            broken._train_on(batch)
        broken.optimizer.step = step  # type: ignore[method-assign]
        broken.noise.set_state(noise)
        for trainer in (broken, plain):
            trainer._train_on(batch)
        one, other = (
            {k: v for k, v in t.weights().items() if "running" not in k and "num" not in k} for t in (broken, plain)
        )
        assert all(torch.equal(value, other[name]) for name, value in one.items())


def _break_off() -> None:
    raise RuntimeError("no such operation")


class Own(torch.nn.Linear):
    """A user's layer."""


def test_what_may_decide_on_the_host_is_not_captured() -> None:
    config = TrainConfig(device="cuda", schedule="cosine", augment="shift+mixup")
    cnn = build_model("cnn", (1, 28, 28), 10)
    assert is_capturable(cnn, config) and is_capturable(torch.nn.Sequential(torch.nn.ReLU()), config)
    assert not is_capturable(torch.nn.Sequential(Own(3, 3)), config)
    for changed in ({"augment": "flip+trivial"}, {"schedule": "one-cycle"}, {"device": "cpu"}):
        assert not is_capturable(cnn, replace(config, **changed))
