"""The data sets of the tables: MNIST, digits, and a harder MNIST that is made here."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from trainers.augment.geometry import rotate
from trainers.data.dataset import load_dataset
from trainers.data.images.scaling import Scaling
from trainers.data.splits import Split, TrainingData

DATASETS = ("digits", "mnist", "mnist-hard")
MAX_DEGREES = 90.0  # of mnist-hard: each image is rotated by up to so much, to either side
NOISE = 0.3  # its standard deviation in pixels of [0, 1], for mnist-hard
SEED = 0


@cache
def training_data(name: str, counts: tuple[int, int], data_dir: Path) -> TrainingData:
    """Returns a data set with so many training and validation images. Of digits, which is small, it returns all."""
    is_small = name == "digits"
    dataset = load_dataset("digits" if is_small else "mnist", data_dir, train_size=None if is_small else counts[0])
    data = dataset.training
    train, validation = data.train.copied(), data.validation.first(counts[1]).copied()
    if name != "mnist-hard":
        return TrainingData(train, validation)
    generator = torch.Generator().manual_seed(SEED)
    pixels = [_harder(split.pixels(torch.arange(len(split))), generator) for split in (train, validation)]
    mean, std = pixels[0].mean(), pixels[0].std()
    scaling, pairs = Scaling((float(mean),), (float(std),)), zip(pixels, (train, validation), strict=True)
    return TrainingData(*(Split((p - mean) / std, split.labels, scaling) for p, split in pairs))


def _harder(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Rotates each image and adds noise to each pixel. pixels: in [0, 1]."""
    angles = (2 * torch.rand(len(pixels), generator=generator) - 1) * math.radians(MAX_DEGREES)
    rotated = rotate(pixels, angles, torch.zeros(1))
    return (rotated + NOISE * torch.randn(pixels.shape, generator=generator)).clamp(0, 1)
