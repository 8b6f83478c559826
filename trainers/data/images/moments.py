"""Mean and standard deviation of images, for their normalization."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from trainers.errors import DataError

_VALUES_AT_ONCE = 2**20  # bincount needs eight bytes for each


def moments(
    parts: Iterable[np.ndarray], mean: float | Sequence[float] | None, std: float | Sequence[float] | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation per channel, of pixels in [0, 1].

    parts: of the images, uint8 (N, height, width, channels), which are measured where `mean` or `std` is None. A given
    number is for all channels. A measured standard deviation of 0 becomes 1. Raises DataError for another number of
    channels.
    """
    # A histogram of the 256 pixel values gives both moments exactly, without a float copy of the images.
    histograms = np.add.reduce([_histograms(part) for part in parts])
    values = np.arange(256) / 255
    means = [float((h * values).sum() / h.sum()) for h in histograms]
    stds = [float(np.sqrt((h * (values - m) ** 2).sum() / h.sum())) for h, m in zip(histograms, means, strict=True)]
    return _per_channel(mean, means), _per_channel(std, [s or 1.0 for s in stds])


def _histograms(images: np.ndarray) -> np.ndarray:
    """Returns how often each pixel value occurs in each channel: int64 (channels, 256)."""
    counts = np.zeros((images.shape[-1], 256), np.int64)
    step = max(1, _VALUES_AT_ONCE // max(1, images[0].size))
    for at in range(0, len(images), step):
        for channel in range(images.shape[-1]):
            counts[channel] += np.bincount(images[at : at + step, ..., channel].ravel(), minlength=256)
    return counts


def _per_channel(given: float | Sequence[float] | None, measured: list[float]) -> tuple[float, ...]:
    if given is None:
        return tuple(measured)
    if isinstance(given, int | float):
        return (float(given),) * len(measured)
    if len(given) != len(measured):
        raise DataError(f"--dataset: the images have {len(measured)} channels, but {len(given)} are needed")
    return tuple(given)
