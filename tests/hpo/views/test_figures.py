from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hpo.views.figures import MAX_IMAGES, draw_curves, draw_sheet, history_png, sheet_png
from trainers.config import EpochResult


def epoch(number: int) -> EpochResult:
    return EpochResult(
        epoch=number, train_loss=1 / number, train_accuracy=0.5, val_loss=1.0, val_accuracy=0.5, train_s=1.0,
        eval_s=0.1, images=9,
    )  # fmt: skip


def test_curves_are_a_png_whatever_the_title(tmp_path: Path) -> None:
    draw_curves(tmp_path / "curves.png", "cost $a_b^c", [epoch(1), epoch(2)])
    assert Image.open(tmp_path / "curves.png").format == "PNG"
    with pytest.raises(OSError, match="No such file"):
        draw_curves(tmp_path / "none" / "curves.png", "x", [epoch(1)])


@pytest.mark.parametrize("lower_is_better", [True, False])
def test_the_history_has_the_best_so_far(lower_is_better: bool) -> None:
    values = [0.5, float("nan"), 0.4, 0.9]
    one = history_png("val_$x^y", values, lower_is_better)
    assert Image.open(io.BytesIO(one)).format == "PNG"
    assert one != history_png("val_$x^y", values, not lower_is_better)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_has_the_images_in_their_colours(channels: int, tmp_path: Path) -> None:
    images = torch.zeros(2, channels, 28, 28)
    images[:, 0] = 9.0  # clipped to 1
    draw_sheet(tmp_path / "sheet.png", "two", images, ["a > b", "b > a"])
    pixels = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).reshape(-1, 3)
    colour = (255, 0, 0) if channels == 3 else (255, 255, 255)
    assert (pixels == colour).all(axis=1).any()


def test_a_sheet_is_as_high_as_its_images_need() -> None:
    def height(count: int) -> int:
        images = torch.zeros(count, 1, 28, 28)
        return Image.open(io.BytesIO(sheet_png("x", images, ["?"] * count))).height

    assert height(1) == height(8) < height(9) < height(MAX_IMAGES) == height(MAX_IMAGES + 30)
