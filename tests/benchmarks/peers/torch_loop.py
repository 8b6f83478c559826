"""A plain PyTorch training loop, as PyTorch's own examples write one: DataLoader, ToTensor and Normalize, Adam."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

from models import build_model
from models.layers import Dropout

ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.Tanh)


def plain_model(name: str, **arch: Any) -> nn.Module:
    """Podium's architecture `name` in the usual order, activation before pooling, with torch's own dropout."""
    network = build_model(name, (1, 28, 28), 10, **arch)
    if not isinstance(network, nn.Sequential) or name == "vgg16":
        return network
    layers = [nn.Dropout(part.p) if isinstance(part, Dropout) else part for part in network]
    for at in range(len(layers) - 1):
        if isinstance(layers[at], nn.MaxPool2d) and isinstance(layers[at + 1], ACTIVATIONS):
            layers[at], layers[at + 1] = layers[at + 1], layers[at]
    return nn.Sequential(*layers)


@functools.cache
def mnist(root: str) -> datasets.MNIST:
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    return datasets.MNIST(root, train=True, transform=transform)


def loaders(root: Path, splits: Path, sizes: tuple[int, int], batch_size: int) -> tuple[DataLoader[Any], ...]:
    """Of the first images of each split in the file `splits`, as many as sizes says; the training images shuffled."""
    data, places = mnist(str(root)), np.load(splits)
    train, val = (Subset(data, places[s][:n].tolist()) for s, n in zip(("train", "validation"), sizes, strict=True))
    assert (len(train), len(val)) == sizes
    return DataLoader(train, batch_size=batch_size, shuffle=True), DataLoader(val, batch_size=1000)


def train(model: nn.Module, loader: DataLoader[Any], optimizer: torch.optim.Optimizer) -> None:
    model.train()
    for images, labels in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()


def test(model: nn.Module, loader: DataLoader[Any]) -> float:
    """The accuracy."""
    model.eval()
    correct = 0
    with torch.no_grad():
        for images, labels in loader:
            correct += int((model(images).argmax(dim=1) == labels).sum())
    return correct / len(loader.dataset)  # type: ignore[arg-type]


def throughput(
    name: str, root: Path, splits: Path, sizes: tuple[int, int], epochs: int, seed: int
) -> tuple[float, float]:
    """Images per second of training, and the accuracy after it. sizes: training and validation images."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = plain_model(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    training, validation = loaders(root, splits, sizes, 64)
    began = time.perf_counter()
    for _ in range(epochs):
        train(model, training, optimizer)
    return sizes[0] * epochs / (time.perf_counter() - began), test(model, validation)


def setup(config: dict[str, Any], root: Path, splits: Path, sizes: tuple[int, int]) -> tuple[nn.Module, Any, Any, Any]:
    """Model, optimizer and loaders of one configuration of a cnn."""
    model = plain_model("cnn", activation=config["activation"], dropout=config["dropout"])
    optimizer = torch.optim.Adam(model.parameters(), lr=config["lr"], weight_decay=1e-6)
    return model, optimizer, *loaders(root, splits, sizes, config["batch_size"])
