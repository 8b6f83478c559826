"""Curves and sheets of images as PNG files."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.system.files import write_atomically
from trainers.config import EpochResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

MAX_IMAGES = 40
_COLUMNS, _GAP = 8, 8


def draw_curves(path: Path, title: str, curve: Sequence[EpochResult]) -> None:
    """Draws loss and accuracy over the epochs, for training and validation, side by side. Raises OSError."""
    from matplotlib.ticker import MaxNLocator

    figure = _figure(9, 3.6)
    epochs = [result.epoch for result in curve]
    for place, name in enumerate(("loss", "accuracy"), 1):
        axes = figure.add_subplot(1, 2, place)
        for part, label in (("train", "training"), ("val", "validation")):
            axes.plot(epochs, [getattr(result, f"{part}_{name}") for result in curve], marker=".", label=label)
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"{name} (nats per image)" if name == "loss" else name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(loc="best")
    figure.suptitle(title, parse_math=False)
    write_atomically(path, _png(figure))


def history_png(label: str, values: Sequence[float], lower_is_better: bool) -> bytes:
    """Draws the value of each trial, in their order, and the best one so far, as a PNG. A missing value is NaN."""
    from matplotlib.ticker import MaxNLocator

    figure = _figure(6, 3.2)
    axes = figure.add_subplot()
    numbers = range(1, len(values) + 1)
    best = (np.fmin if lower_is_better else np.fmax).accumulate(np.asarray(values, float))
    axes.plot(numbers, values, ".", alpha=0.6, label="trial")
    axes.step(numbers, best, where="post", label="best so far")
    axes.set_xlabel("trial")
    axes.set_ylabel(label, parse_math=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    return _png(figure)


def draw_sheet(path: Path, title: str, images: Tensor, captions: Sequence[str]) -> None:
    """Writes `sheet_png` into a file. Raises OSError."""
    write_atomically(path, sheet_png(title, images, captions))


def sheet_png(title: str, images: Tensor, captions: Sequence[str]) -> bytes:
    """Draws the first images, at most `MAX_IMAGES`, each under its caption, as a PNG.

    `images` is a float tensor (N, 1 or 3 channels, height, width) in [0, 1]; other values are clipped.
    """
    shown = images[:MAX_IMAGES].clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()
    height, width = (side + _GAP for side in images.shape[2:])
    rows = max(1, math.ceil(len(shown) / _COLUMNS))
    # One canvas: a figure with separate axes for each image takes seconds to lay out.
    canvas = np.ones((rows * height, _COLUMNS * width, images.shape[1]), np.float32)
    figure = _figure(_COLUMNS * 1.1, rows * 1.1 * height / width + 0.4)
    axes = figure.add_subplot()
    for place, (image, caption) in enumerate(zip(shown, captions, strict=False)):
        top, left = place // _COLUMNS * height + _GAP, place % _COLUMNS * width
        canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
        axes.text(left, top - 1, caption, fontsize=9, va="bottom", parse_math=False)
    axes.imshow(canvas.squeeze(-1) if canvas.shape[-1] == 1 else canvas, cmap="gray", vmin=0, vmax=1)
    axes.axis("off")
    figure.suptitle(title, parse_math=False)
    return _png(figure)


def picture_png(image: Tensor) -> bytes:
    """One image as a PNG. `image` is as those of `sheet_png`, (channels, height, width)."""
    from PIL import Image

    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(buffer, "png")
    return buffer.getvalue()


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the font lacks some letters
        figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
