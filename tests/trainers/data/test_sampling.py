"""The order of training images."""

from __future__ import annotations

import torch

from trainers.data.sampling import ImageOrder

LABELS = torch.tensor([0] * 900 + [2] * 90 + [5] * 10)[torch.randperm(1000, generator=torch.Generator().manual_seed(1))]


def test_each_image_comes_once() -> None:
    order, plain = ImageOrder(LABELS).draw(generator()), torch.randperm(1000, generator=generator())
    assert torch.equal(order, plain) and torch.equal(order.sort().values, torch.arange(1000))


def test_balanced_classes_come_equally_often_and_all_their_images() -> None:
    order, stream = ImageOrder(LABELS, "balanced"), generator()
    drawn = torch.cat([order.draw(stream) for _ in range(30)])
    assert len(drawn) == 30_000 and set(drawn[LABELS[drawn] != 0].tolist()) == set(
        (LABELS != 0).nonzero()[:, 0].tolist()
    )
    shares = torch.bincount(LABELS[drawn]) / len(drawn)
    torch.testing.assert_close(shares, torch.tensor([1, 0, 1, 0, 0, 1]) / 3, atol=0.02, rtol=0)
    assert torch.equal(order.draw(generator()), order.draw(generator()))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)
