from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from models import build_model
from trainers.config import TrainConfig
from trainers.data.dataset import load_dataset
from trainers.probe import probe


def test_it_measures_a_trial_alone_and_with_others() -> None:
    data = load_dataset("digits", Path("x"), train_size=150).training
    make = partial(build_model, "mlp_small", (1, 28, 28), 10)
    found = probe(make, data, TrainConfig(batch_size=32), lanes=(2, 4), largest=(make, 64))
    assert list(found.images_per_s) == [1, 2, 4] and all(rate > 0 for rate in found.images_per_s.values())
    assert (found.busy, found.peak_bytes, found.total_bytes) == (1.0, 0, 0)  # a CPU does not say


def test_it_raises_what_the_network_raises() -> None:
    data = load_dataset("digits", Path("x"), train_size=150).training
    with pytest.raises(ValueError, match="activation 'swish'"):
        probe(partial(build_model, "mlp", (1, 28, 28), 10, activation="swish"), data, TrainConfig())


def test_lanes_have_the_optimizers_in_turn() -> None:
    data = load_dataset("digits", Path("x"), train_size=150).training
    make = partial(build_model, "mlp_small", (1, 28, 28), 10)
    with pytest.raises(ValueError, match="optimizer 'lion'"):
        probe(make, data, TrainConfig(), lanes=(2,), optimizers=("adam", "lion"))
