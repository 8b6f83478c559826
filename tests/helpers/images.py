"""Image files."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from trainers.data.dataset import load_dataset


def folder_of_digits(path: Path, count: int = 6, size: int = 28) -> Path:
    """The first test images, ink on paper, in class folders."""
    digits = load_dataset("digits", Path("x"), mean=0.0, std=1.0).test.open()
    for n in range(count):
        pixels = (255 * (1 - digits.pixels(torch.tensor([n]))[0, 0])).round().to(torch.uint8).numpy()
        Image.fromarray(pixels).resize((size, size)).save(path / f"{n}_{digits.labels[n]}.png")
    return path
