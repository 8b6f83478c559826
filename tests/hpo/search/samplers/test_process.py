from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from hpo.search.samplers.encoding import Encoding
from hpo.search.samplers.process import Kernel, Process

ENCODING = Encoding({name: FloatDistribution(0.0, 1.0) for name in ("a", "b", "c")})


def seen(count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Points, and values that hang on the first coordinate alone."""
    points = np.random.default_rng(1).random((count, 3))
    values = -((points[:, 0] - 0.7) ** 2)
    return points, (values - values.mean()) / values.std()


def test_it_predicts_as_the_textbook_does() -> None:
    points, values = seen(8)
    kernel = Kernel(np.array([0.5, 1.0, 2.0]), 0.1)
    process = Process(ENCODING, points, values, kernel)
    new = np.random.default_rng(2).random((3, 3))
    inside = np.linalg.inv(kernel(ENCODING.squared_distances(points, points)) + 0.1 * np.eye(8))
    across = kernel(ENCODING.squared_distances(new, points))
    mean, deviation = process.predict(new)
    assert mean == pytest.approx(across @ inside @ values)
    assert deviation**2 == pytest.approx(1 - np.diag(across @ inside @ across.T), abs=1e-9)


def test_a_hyperparameter_without_effect_gets_a_long_length() -> None:
    points, values = seen()
    process = Process.fitted(ENCODING, points, values, np.random.default_rng(0))
    first, *others = process.kernel.lengths
    assert first < min(others)
    new = np.random.default_rng(3).random((200, 3))
    mean, _ = process.predict(new)
    assert np.corrcoef(mean, -((new[:, 0] - 0.7) ** 2))[0, 1] > 0.95
    best = new[int(np.argmax(process.expected_improvement(new)))]
    assert abs(best[0] - 0.7) < 0.1


def test_what_it_believes_to_have_seen_promises_no_more() -> None:
    points, values = seen()
    process = Process.fitted(ENCODING, points, values, np.random.default_rng(0))
    new = np.random.default_rng(3).random((200, 3))
    best = new[int(np.argmax(process.expected_improvement(new)))][None]
    believing = process.believing(best)
    assert believing.expected_improvement(best) < process.expected_improvement(best)
    assert process.believing(best[:0]) is process
