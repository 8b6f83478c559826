"""What "float32" means: IEEE's, whatever PyTorch's default or a user's module says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from models import build_model
from trainers.config import TrainConfig
from trainers.data.dataset import load_dataset
from trainers.data.splits import TrainingData
from trainers.fused.trainer import FusedTrainer
from trainers.loop import predict
from trainers.single import SingleTrainer

MAKE = partial(build_model, "mlp_small", (1, 28, 28), 10)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return load_dataset("digits", Path("x"), train_size=150).training


@pytest.fixture(autouse=True)
def rounded() -> Iterator[None]:
    """A process in which all may be rounded to TF32."""
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.conv.fp32_precision = torch.backends.cudnn.rnn.fp32_precision = "tf32"  # type: ignore[attr-defined]
    yield
    torch.set_float32_matmul_precision("highest")


def precisions() -> set[str]:
    backends: Any = torch.backends
    return {
        part.fp32_precision
        for part in (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn, backends.mkldnn.matmul)
    }


@pytest.mark.parametrize(
    "use",
    [
        lambda data: SingleTrainer(MAKE, data, TrainConfig()),
        lambda data: FusedTrainer([MAKE] * 2, data, [TrainConfig()] * 2),
        lambda data: predict(MAKE(), data.validation, "float32"),
    ],
    ids=["single", "fused", "predict"],
)
def test_float32_is_not_rounded(use: Callable[[TrainingData], object], data: TrainingData) -> None:
    use(data)
    assert precisions() == {"ieee"}
    # PyTorch's older switches can still be read: they raise where they contradict the newer ones.
    assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
    assert torch.get_float32_matmul_precision() == "highest"


def test_a_network_that_asks_for_less_does_not_get_it(data: TrainingData) -> None:
    def greedy() -> torch.nn.Module:
        torch.set_float32_matmul_precision("medium")
        return MAKE()

    SingleTrainer(greedy, data, TrainConfig())
    assert precisions() == {"ieee"}
