from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers import loop
from trainers.data.splits import Split
from trainers.loop import autocast, batches_per_epoch, eval_batch_size, evaluate, predict, sum_dtype, train_epoch


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))


@pytest.fixture
def split() -> Split:
    generator = torch.Generator().manual_seed(1)
    return Split(torch.randn(11, 1, 4, 4, generator=generator), torch.arange(11) % 3)


def batches(split: Split, size: int) -> list[tuple[Tensor, Tensor]]:
    return list(zip(split.images.split(size), split.labels.split(size), strict=True))


def test_the_means_of_an_epoch_are_those_of_its_images(split: Split) -> None:
    """Without a step's effect, the epoch's loss and accuracy are those of the network on all images at once."""
    model = network()
    model[3] = nn.Identity()  # type: ignore[index]
    logits = model(split.images)
    expected = F.cross_entropy(logits, split.labels).item(), (logits.argmax(1) == split.labels).double().mean().item()
    assert train_epoch(model, batches(split, 4), "float32", model.zero_grad) == pytest.approx(expected)


def test_batches_that_do_not_count_are_trained_on_and_not_measured(split: Split) -> None:
    model, answers = network(), iter([True, False, False])
    model[3] = nn.Identity()  # type: ignore[index]
    images, labels = batches(split, 4)[0]
    expected = F.cross_entropy(model(images), labels).item()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    loss, _ = train_epoch(model, batches(split, 4), "float32", optimizer.step, counts=lambda: next(answers))
    assert loss == pytest.approx(expected)
    assert all(not torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))
    assert train_epoch(model, batches(split, 4), "float32", optimizer.step, counts=lambda: False) == (0.0, 0.0)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_an_update_finds_the_gradients_of_its_batch(smoothing: float, split: Split) -> None:
    model, found = network(), []
    model[3] = nn.Identity()  # type: ignore[index]

    def update() -> None:
        found.append([parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None])
        model.zero_grad()

    loss_of = partial(F.cross_entropy, label_smoothing=smoothing)
    loss, _ = train_epoch(model, batches(split, 4), "float32", update, loss_of)
    losses = [F.cross_entropy(model(images), labels, label_smoothing=smoothing) for images, labels in batches(split, 4)]
    assert loss == pytest.approx(sum(one.item() * size for one, size in zip(losses, (4, 4, 3), strict=True)) / 11)
    for one, expected in zip(found, losses, strict=True):
        torch.testing.assert_close(one, list(torch.autograd.grad(expected, list(model.parameters()))))


@pytest.mark.parametrize("size", [1, 4, 11, 500])
def test_an_evaluation_is_the_same_in_batches_of_any_size(
    size: int, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network()
    monkeypatch.setattr(loop, "CPU_EVAL_BATCH_SIZE", size)
    loss, accuracy = evaluate(model, split, "float32")
    logits = predict(model, split, "float32")
    assert not model.training and logits.dtype == torch.float32 and not logits.requires_grad
    torch.testing.assert_close(logits, model(split.images).detach())
    assert loss == pytest.approx(F.cross_entropy(logits, split.labels).item())
    assert accuracy == (logits.argmax(1) == split.labels).sum().item() / 11


@pytest.mark.parametrize(("shape", "expected"), [((1, 28, 28), 500), ((3, 64, 64), 500), ((3, 448, 448), 13)])
def test_large_images_are_evaluated_fewer_at_once(shape: tuple[int, ...], expected: int) -> None:
    split = Split(torch.zeros(shape, dtype=torch.uint8).expand(1000, *shape), torch.zeros(1000, dtype=torch.int64))
    assert eval_batch_size(split) == expected


def test_bf16_is_autocast() -> None:
    images, layer = torch.randn(2, 16), nn.Linear(16, 3)
    for precision, dtype in (("bf16", torch.bfloat16), ("float32", torch.float32)):
        with autocast(images, precision):
            assert layer(images).dtype == dtype


@pytest.mark.parametrize(
    ("images", "batch_size", "batches"), [(100, 10, 10), (101, 10, 10), (102, 10, 11), (1, 10, 1), (5, 10, 1)]
)
def test_a_last_batch_of_one_image_is_none(images: int, batch_size: int, batches: int) -> None:
    assert batches_per_epoch(images, batch_size) == batches


def test_sums_are_doubles_where_the_device_has_them() -> None:
    assert [sum_dtype(device) for device in ("cpu", "cuda", "mps")] == [torch.float64, torch.float64, torch.float32]
