"""A plain PyTorch training loop over images that already lie on the device: eager, float32, Adam."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.benchmarks.peers.torch_loop import plain_model


def epochs_s(images: Tensor, labels: Tensor, epochs: int, seed: int, batch_size: int = 64) -> float:
    """Seconds of so many epochs of a cnn, after one batch that warms up. images, labels: on the device."""
    torch.manual_seed(seed)
    model = plain_model("cnn").to(images.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def train(order: Tensor) -> None:
        for batch in order.split(batch_size):
            optimizer.zero_grad()
            F.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()

    train(torch.arange(batch_size, device=images.device))
    wait(images)
    began = time.perf_counter()
    for _ in range(epochs):
        train(torch.randperm(len(images), device=images.device))
    wait(images)
    return time.perf_counter() - began


def wait(images: Tensor) -> None:
    if images.is_cuda:
        torch.cuda.synchronize()


def process(arrays: tuple[Any, Any], device: str, barrier: Any, times: Any, rounds: int, seed: int) -> None:
    """One of several processes that share the device: puts the time of an epoch, from the moment when all begin, into
    `times`, in each round. arrays: images and labels."""
    torch.set_num_threads(1)
    images, labels = (torch.as_tensor(array).to(device) for array in arrays)
    epochs_s(images[:640], labels[:640], 1, seed)
    for _ in range(rounds):
        barrier.wait()
        began = time.perf_counter()
        epochs_s(images, labels, 1, seed)
        times.put(time.perf_counter() - began)
