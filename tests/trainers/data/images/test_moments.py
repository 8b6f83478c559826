from __future__ import annotations

import numpy as np
import pytest

from trainers.data.images import moments as module
from trainers.data.images.moments import moments


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (50, 7, 5, 3), np.uint8)


@pytest.mark.parametrize("values_at_once", [1, 100, 2**20])
def test_they_are_numpys_whatever_is_counted_at_once(
    values_at_once: int, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_VALUES_AT_ONCE", values_at_once)
    means, stds = moments([images[:20], images[20:]], None, None)
    assert means == pytest.approx((images / 255).mean((0, 1, 2))) and stds == pytest.approx(
        (images / 255).std((0, 1, 2))
    )


def test_what_is_given_is_taken(images: np.ndarray) -> None:
    assert moments([images[:20], images[20:]], 0.5, (0.1, 0.2, 0.3)) == ((0.5, 0.5, 0.5), (0.1, 0.2, 0.3))
    with pytest.raises(ValueError, match=r"^--dataset: the images have 3 channels, but 1 are needed$"):
        moments([images[:20], images[20:]], (0.5,), None)


def test_a_channel_without_any_contrast_is_divided_by_one() -> None:
    assert moments([np.full((2, 3, 3, 1), 51, np.uint8)], None, None) == ((pytest.approx(0.2),), (1.0,))
