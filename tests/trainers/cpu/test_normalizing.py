from __future__ import annotations

import pytest
import torch

from trainers.cpu import normalizing
from trainers.cpu.native import kernels
from trainers.cpu.normalizing import normalized
from trainers.data.images.scaling import Scaling


@pytest.mark.parametrize("shape", [(5, 1, 28, 28), (4, 3, 7, 9), (3, 4, 1, 1)])
def test_the_kernel_and_torch_agree_to_the_bit(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    if kernels() is None:
        pytest.skip("no C++ compiler here")
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    rows = torch.tensor([2, 0, 0, 1])
    scaling = Scaling((0.4914, 0.1307, 0.5, 0.3)[: shape[1]], (0.2023, 0.3081, 0.25, 1.0)[: shape[1]])
    levels = scaling.of_bytes(images.device)
    found = normalized(images, rows, *levels)
    monkeypatch.setattr(normalizing, "kernels", lambda: None)
    assert torch.equal(found, normalized(images, rows, *levels))
    expected = (images[rows] / 255 - torch.tensor(scaling.mean).view(1, -1, 1, 1)) / torch.tensor(scaling.std).view(
        1, -1, 1, 1
    )
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(6, 4, 5, 3), (6, 4, 5, 4), (6, 40, 50, 3)])
@pytest.mark.parametrize("columns", [None, 3])
def test_other_layouts_give_the_same(shape: tuple[int, ...], columns: int | None) -> None:
    """Channels last, as files have them; and a part of each image, which is not dense."""
    images = torch.randint(256, shape, dtype=torch.uint8).permute(0, 3, 1, 2)[..., :columns]
    levels = Scaling((0.1, 0.2, 0.3, 0.4)[: shape[3]], (0.3, 0.2, 0.1, 0.4)[: shape[3]]).of_bytes(images.device)
    rows = torch.tensor([5, 1])
    assert torch.equal(normalized(images, rows, *levels), normalized(images.contiguous(), rows, *levels))
