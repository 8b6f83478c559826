from __future__ import annotations

import subprocess
import sys
import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from trainers.config import OPTIMIZERS, TrainConfig
from trainers.optim.optimizer import make_optimizer

PLAIN = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, weight_decay=0.1, momentum=0.8),
}


def trained(optimizer: torch.optim.Optimizer, network: nn.Module, steps: int) -> list[torch.Tensor]:
    torch.manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(network(torch.randn(16, 6)), torch.randint(0, 3, (16,))).backward()
        optimizer.step()
    return [p.detach().clone() for p in network.parameters()]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_is_torchs_own(name: str) -> None:
    ours, theirs = network(), network()
    config = TrainConfig(lr=0.01, weight_decay=0.1, momentum=0.8, optimizer=name)
    made = make_optimizer(ours.parameters(), config)
    plain = PLAIN[name](theirs.parameters())
    assert isinstance(made, type(plain))
    for one, other in zip(trained(made, ours, 5), trained(plain, theirs, 5), strict=True):
        torch.testing.assert_close(one, other)
    resumed = make_optimizer(ours.parameters(), config)
    resumed.load_state_dict(made.state_dict())
    for one, other in zip(trained(resumed, ours, 3), trained(plain, theirs, 3), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_nesterov_is_torchs_too(momentum: float) -> None:
    ours, theirs, plain = network(), network(), network()
    config = TrainConfig(lr=0.01, momentum=momentum, nesterov=True, optimizer="sgd")
    found = trained(make_optimizer(ours.parameters(), config), ours, 5)
    wanted = torch.optim.SGD(theirs.parameters(), lr=0.01, momentum=momentum, nesterov=momentum > 0)
    for one, other in zip(found, trained(wanted, theirs, 5), strict=True):
        torch.testing.assert_close(one, other)
    without = trained(torch.optim.SGD(plain.parameters(), lr=0.01, momentum=momentum), plain, 5)
    assert torch.equal(found[0], without[0]) == (momentum == 0)


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_beta1_is_torchs_too(name: str, kind: type[torch.optim.Adam]) -> None:
    ours, theirs = network(), network()
    made = make_optimizer(ours.parameters(), TrainConfig(lr=0.01, weight_decay=0.0, beta1=0.6, optimizer=name))
    plain = kind(theirs.parameters(), lr=0.01, weight_decay=0.0, betas=(0.6, 0.999))
    for one, other in zip(trained(made, ours, 5), trained(plain, theirs, 5), strict=True):
        torch.testing.assert_close(one, other)


def test_an_unknown_one_is_refused() -> None:
    with pytest.raises(ValueError, match="optimizer 'lion': choose from adam, adamw, sgd"):
        make_optimizer(network().parameters(), TrainConfig(optimizer="lion"))


def test_training_does_not_import_the_compiler() -> None:
    """It would cost each worker two seconds before its first step."""
    script = """
import sys
import warnings
from types import SimpleNamespace
from pathlib import Path
from functools import partial
from models import build_model
from trainers.config import TrainConfig
from trainers.data.dataset import load_dataset
from trainers.single import SingleTrainer
data = load_dataset("digits", Path("x"), train_size=64).training
for config in (
    TrainConfig(),
    TrainConfig(optimizer="sgd", schedule="one-cycle", label_smoothing=0.1),
    TrainConfig(optimizer="adamw", schedule="wsd", ema=0.9, clip_norm=1.0),
):
    trainer = SingleTrainer(partial(build_model, "lenet5", (1, 28, 28), 10), data, config)
    trainer.step()
    trainer.load(trainer.save())
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_a_step_that_is_not_captured_warns_of_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On an accelerator, for a network that no graph can hold: PyTorch would say so on the terminal."""
    optimizer = make_optimizer([nn.Parameter(torch.ones(2))], TrainConfig(optimizer=name))
    for group in optimizer.param_groups:
        group["capturable"] = True
    idle = SimpleNamespace(is_capturing=lambda: False)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "current_stream", lambda *_: idle)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer._accelerator_graph_capture_health_check()
        optimizer.load_state_dict(optimizer.state_dict())
        optimizer._accelerator_graph_capture_health_check()
